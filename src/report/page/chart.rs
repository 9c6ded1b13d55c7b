//! Bars over time, one lane a slot: drawn with places in percent, so that it is as wide as there is room.

use super::{class, put};
use crate::report::{Bar, Report, Row, escape::duration};

/// The height of the axis, and of a lane: where there are many, lanes are low and bars have no names.
const AXIS: usize = 22;
const LANE: usize = 22;
const LOW: usize = 9;
const MANY: usize = 48;
/// The least width of a bar, in percent.
const LEAST: f64 = 0.08;
/// How wide a bar has to be, in percent, for its name to be shown: always, at 4 times, at 16 times the width.
const NAMED: [(f64, &str); 3] = [(5.0, ""), (1.25, " z4"), (0.3, " z16")];

pub(super) fn chart(page: &mut String, report: &Report) {
    page.push_str("<h2>Over time</h2>\n");
    if report.rows.iter().all(|row| row.bar.is_none()) {
        page.push_str("<p class=\"nothing\">Nothing was executed in this run.</p>\n");
        return;
    }
    let lanes = report.slots + report.process_lanes;
    let lane = if lanes > MANY { LOW } else { LANE };
    let height = AXIS + lanes * lane + 4;
    let ends = report.rows.iter().filter_map(|row| Some(row.bar?.end_ms));
    let span = ends.fold(report.wall_ms, f64::max).max(0.001);
    legend(page, report);
    page.push_str("<div class=\"chart\" id=\"chart\">\n");
    put(page, format_args!("<svg class=\"names\" width=\"74\" height=\"{height}\" aria-hidden=\"true\">"));
    for at in 0..lanes {
        let (what, n) = if at < report.slots { ("slot", at + 1) } else { ("process", at + 1 - report.slots) };
        // Low lanes have room for some names only.
        if lane == LANE || n % 5 == 0 {
            put(
                page,
                format_args!("<text x=\"68\" y=\"{}\">{what} {n}</text>", AXIS + at * lane + lane / 2 + 4),
            );
        }
    }
    page.push_str("</svg>\n");
    put(
        page,
        format_args!(
            "<div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"bars over time\"><svg class=\"bars\" width=\"100%\" height=\"{height}\">\n"
        ),
    );
    axis(page, span, height);
    for (place, row) in report.rows.iter().enumerate() {
        if let Some(bar) = row.bar {
            let at = if row.is_process { report.slots + bar.lane } else { bar.lane };
            draw(page, (place, row, bar), span, (AXIS + at * lane, lane));
        }
    }
    page.push_str("</svg></div></div>\n<p id=\"about\" class=\"about\" role=\"status\" hidden></p>\n");
}

fn legend(page: &mut String, report: &Report) {
    let drawn = |name: &str| report.rows.iter().any(|row| row.bar.is_some() && class(row) == name);
    page.push_str("<div class=\"tools\"><ul class=\"legend\">\n");
    for (name, text) in [
        ("ok", "succeeded"),
        ("bad", "failed"),
        ("back", "restored"),
        ("warn", "cancelled"),
        ("cut", "end not known"),
        ("none", "other"),
        ("proc", "process"),
    ] {
        if drawn(name) {
            put(
                page,
                format_args!(
                    "<li><svg width=\"14\" height=\"14\"><rect class=\"{name}\" width=\"14\" height=\"14\" rx=\"2\"/></svg> {text}\n"
                ),
            );
        }
    }
    if !report.path.is_empty() {
        page.push_str("<li><svg width=\"14\" height=\"14\"><rect class=\"c\" y=\"9\" width=\"14\" height=\"4\"/></svg> on the critical path\n");
    }
    page.push_str(
        "</ul><fieldset class=\"zoom\"><legend>Width</legend>\
         <label><input type=\"radio\" name=\"z\" id=\"z1\" checked>1×</label>\
         <label><input type=\"radio\" name=\"z\" id=\"z4\">4×</label>\
         <label><input type=\"radio\" name=\"z\" id=\"z16\">16×</label></fieldset></div>\n",
    );
}

/// A line every so often, at a round number: as often as there is room for, whatever the width.
fn axis(page: &mut String, span: f64, height: usize) {
    page.push_str("<text x=\"0\" y=\"12\">0</text>\n");
    for zoom in [1_u32, 4, 16] {
        let step = step(span / f64::from(zoom));
        put(page, format_args!("<g class=\"x{zoom}\">"));
        for n in 1..=40 * zoom {
            let at = f64::from(n) * step;
            if at > span {
                break;
            }
            let x = at / span * 100.0;
            put(page, format_args!("<line x1=\"{x:.3}%\" x2=\"{x:.3}%\" y1=\"16\" y2=\"{height}\"/>"));
            let side = if x > 100.0 - 8.0 / f64::from(zoom) { " class=\"end\"" } else { "" };
            put(page, format_args!("<text{side} x=\"{x:.3}%\" y=\"12\">{}</text>\n", label(at, step)));
        }
        page.push_str("</g>\n");
    }
}

/// The distance of lines: about ten of them.
fn step(span: f64) -> f64 {
    const STEPS: [f64; 12] = [1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 1800e3, 3600e3];
    let wanted = span / 10.0;
    let round = |wanted: f64| {
        let power = 10_f64.powf(wanted.max(1e-9).log10().floor());
        [1.0, 2.0, 5.0, 10.0]
            .iter()
            .map(|times| times * power)
            .find(|step| *step >= wanted * 0.999)
            .unwrap_or(wanted)
    };
    match wanted {
        ..1e3 => round(wanted),
        _ => {
            STEPS.into_iter().find(|step| *step >= wanted).unwrap_or_else(|| round(wanted / 3600e3) * 3600e3)
        }
    }
}

/// What stands at a line: as exact as lines are apart, and no more.
fn label(at: f64, step: f64) -> String {
    match (at, step) {
        (..60_000.0, 1000.0..) => format!("{:.0}s", at / 1000.0),
        (..1000.0, 1.0..) => format!("{at:.0}ms"),
        (1000.0..60_000.0, 100.0..) => format!("{:.1}s", at / 1000.0),
        (60_000.0.., ..1000.0) => {
            format!("{:.0}min {:04.1}s", (at / 60_000.0).floor(), at % 60_000.0 / 1000.0)
        }
        _ => duration(at),
    }
}

fn draw(page: &mut String, (place, row, bar): (usize, &Row, Bar), span: f64, (y, lane): (usize, usize)) {
    let x = bar.begin_ms / span * 100.0;
    let width = (bar.length_ms() / span * 100.0).max(LEAST).min((100.0 - x).max(LEAST));
    let (height, name) = (lane - 2, &row.name);
    let title = format!(
        "{name}: {}, {} from {}",
        row.fate.label(),
        duration(bar.length_ms()),
        duration(bar.begin_ms)
    );
    put(
        page,
        format_args!(
            "<svg x=\"{x:.3}%\" y=\"{y}\" width=\"{width:.3}%\" height=\"{height}\"><a href=\"#t{place}\"><title>{title}</title>\
             <rect class=\"{}\" width=\"100%\" height=\"{height}\" rx=\"2\"/>",
            class(row)
        ),
    );
    if row.is_critical {
        let strip = if lane == LANE { 4 } else { 3 };
        put(
            page,
            format_args!("<rect class=\"c\" y=\"{}\" width=\"100%\" height=\"{strip}\"/>", height - strip),
        );
    }
    let named = NAMED.iter().find(|(least, _)| width >= *least).filter(|_| lane == LANE);
    if let Some((_, zoom)) = named {
        let failed = if class(row) == "bad" { "✗ " } else { "" };
        put(page, format_args!("<text class=\"t{zoom}\" x=\"4\" y=\"14\">{failed}{name}</text>"));
    }
    page.push_str("</a></svg>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_at_round_numbers_and_few() {
        for (span, expected, first) in [
            (0.05, 0.005, "0.0ms"),
            (8.0, 1.0, "1ms"),
            (628.0, 100.0, "100ms"),
            (3_000.0, 500.0, "500ms"),
            (20_100.0, 5_000.0, "5s"),
            (125_000.0, 15_000.0, "15s"),
            (7_200_000.0, 1_800_000.0, "30min 00s"),
            (1e9, 180_000_000.0, "50h 00min"),
        ] {
            let step = step(span);
            assert!((step - expected).abs() < expected / 1e6, "{span}: {step}");
            assert_eq!(label(step, step), first, "{span}");
        }
        for exponent in -3..300 {
            let lines = 10_f64.powi(exponent) * 3.3 / step(10_f64.powi(exponent) * 3.3);
            assert!((2.0..=11.0).contains(&lines), "{exponent}: {lines}");
        }
    }
}
