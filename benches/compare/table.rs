//! The results in Markdown.

use std::{fmt::Write as _, time::Duration};

use crate::{Result, support::workspace::Workspace};

/// A row for each tool. Times are medians; ratios, to the first, are the medians of those within rounds.
pub(crate) fn markdown(workspace: &Workspace, results: &[Result]) -> String {
    let first = &results[0];
    let mut text = format!(
        "\n{} tasks, {} files ({} rounds; of *everything* {}):\n\n\
         | | nothing to do | | one file changed | | everything | | memory | tasks run |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|---|\n",
        workspace.tasks,
        workspace.all_files(),
        first.nothing.row.times.len(),
        first.everything.row.times.len(),
    );
    for result in results {
        let version = (result.tool.version)().unwrap_or_default();
        let _ = write!(text, "| {} {version}", result.tool.label);
        for (one, base) in [
            (&result.nothing, &first.nothing),
            (&result.change, &first.change),
            (&result.everything, &first.everything),
        ] {
            let _ =
                write!(text, " | {} | {} ×", time(one.row.percentile(50)), short(one.row.ratio(&base.row)));
        }
        let [nothing, change, everything] =
            [&result.nothing, &result.change, &result.everything].map(|one| short(one.ran));
        let _ = writeln!(text, " | {:.0} MB | {nothing}, {change}, {everything} |", result.peak);
    }
    text
}

pub(crate) fn time(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms < 1000.0 { format!("{} ms", short(ms)) } else { format!("{} s", short(ms / 1e3)) }
}

/// Two digits at least, and none that mean nothing.
pub(crate) fn short(number: f64) -> String {
    if number == number.round() || number >= 100.0 {
        format!("{number:.0}")
    } else if number >= 10.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.2}")
    }
}
