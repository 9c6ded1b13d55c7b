//! The colours of pictures, for light and dark surroundings.

use std::fmt::Write as _;

use super::seen::Ending;

/// How a box is painted: its inside and its border, as `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shade {
    /// The inside.
    pub fill: &'static str,
    /// The border.
    pub line: &'static str,
}

/// The colours of one kind of surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colors {
    /// Behind everything.
    pub ground: &'static str,
    /// What is written.
    pub ink: &'static str,
    /// What is written and matters less, lines.
    pub dim: &'static str,
    /// Boxes without a run.
    pub plain: Shade,
    /// Boxes by how they ended, in the order of [`Ending::ALL`].
    pub endings: [Shade; 9],
}

impl Colors {
    /// On white.
    pub const LIGHT: Self = Self {
        ground: "#ffffff",
        ink: "#16191d",
        dim: "#545c66",
        plain: shade("#f3f5f8", "#6b7684"),
        endings: [
            shade("#ffdcd8", "#c3271b"),
            shade("#ffe5cc", "#b35a00"),
            shade("#f0e2fb", "#8445bd"),
            shade("#fff5c2", "#8a6d00"),
            shade("#d6f5dc", "#1c7c37"),
            shade("#cdf3f0", "#0c7a75"),
            shade("#dcebff", "#2565bd"),
            shade("#f3f5f8", "#6b7684"),
            shade("#ffffff", "#7d8794"),
        ],
    };

    /// On what is nearly black.
    pub const DARK: Self = Self {
        ground: "#14171b",
        ink: "#f0f3f6",
        dim: "#a3adb8",
        plain: shade("#242a31", "#7f8a97"),
        endings: [
            shade("#5a1d19", "#ff7b70"),
            shade("#523110", "#f0a050"),
            shade("#42285a", "#c08bf0"),
            shade("#463c0c", "#d9b834"),
            shade("#173f23", "#4cc26b"),
            shade("#0d403d", "#3fc4bb"),
            shade("#183760", "#6ba8f5"),
            shade("#242a31", "#7f8a97"),
            shade("#14171b", "#6f7a87"),
        ],
    };

    /// How a box of this ending is painted; none: without a run.
    #[must_use]
    pub fn shade(&self, ending: Option<Ending>) -> Shade {
        ending.map_or(self.plain, |ending| self.endings[ending as usize])
    }

    /// The rules of a style sheet for everything beneath an element of class `dt`.
    fn rules(&self) -> String {
        let Self { ground, ink, dim, plain, .. } = self;
        let mut css = format!(
            ".dt .ground{{fill:{ground}}}.dt text{{fill:{ink}}}.dt .dim{{fill:{dim}}}\
             .dt .edge path{{stroke:{dim}}}.dt .edge .head{{fill:{dim}}}{}",
            painted("node", *plain)
        );
        for (ending, shade) in Ending::ALL.into_iter().zip(self.endings) {
            css += &painted(class(ending), shade);
        }
        css
    }
}

const fn shade(fill: &'static str, line: &'static str) -> Shade {
    Shade { fill, line }
}

fn painted(class: &str, Shade { fill, line }: Shade) -> String {
    format!(".dt .{class} .box{{fill:{fill};stroke:{line}}}.dt .{class} .bar{{stroke:{line}}}")
}

/// The class of a box that ended this way.
pub(super) const fn class(ending: Ending) -> &'static str {
    match ending {
        Ending::Failed => "failed",
        Ending::DependencyFailed => "blocked",
        Ending::Cancelled => "cancelled",
        Ending::Unfinished => "unfinished",
        Ending::Succeeded => "succeeded",
        Ending::Restored => "restored",
        Ending::Cached => "cached",
        Ending::Skipped => "skipped",
        Ending::Absent => "absent",
    }
}

/// The style sheet of a picture. Colours stand in it as they are, since not every viewer knows variables.
pub(super) fn sheet() -> String {
    let mut css = String::from(
        ".dt text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,\"DejaVu Sans Mono\",monospace}\
         .dt .word{font-size:11px}.dt .name{font-weight:600}.dt .name .dim{font-weight:400}\
         .dt .box{stroke-width:1.2}.dt .root .box{stroke-width:2.6}.dt .bar{fill:none;stroke-width:1.2}\
         .dt .group .box{stroke-dasharray:3 3}.dt .absent .box{stroke-dasharray:6 3}\
         .dt .edge path{fill:none;stroke-width:1.3}.dt .edge .head{stroke:none}\
         .dt .soft .line{stroke-dasharray:7 4}\
         .dt .started .line{stroke-dasharray:0.1 4.5;stroke-linecap:round;stroke-width:2}",
    );
    // Writing to a string cannot fail.
    let _ = write!(css, "{}", Colors::LIGHT.rules());
    let _ = write!(css, "@media (prefers-color-scheme:dark){{{}}}", Colors::DARK.rules());
    css
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How bright a colour is, from 0 to 1, as the guidelines for accessible contents on the web count it.
    fn luminance(color: &str) -> f64 {
        let part = |at: usize| {
            let part = f64::from(u8::from_str_radix(&color[at..at + 2], 16).unwrap()) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn everything_can_be_read() {
        assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 0.01);
        for colors in [Colors::LIGHT, Colors::DARK] {
            for shade in colors.endings.into_iter().chain([colors.plain]) {
                for (what, a, b, least) in [
                    ("ink", colors.ink, shade.fill, 7.0),
                    ("dim", colors.dim, shade.fill, 4.5),
                    ("border", shade.line, colors.ground, 3.0),
                ] {
                    assert!(contrast(a, b) >= least, "{what}: {a} on {b} is {:.2}", contrast(a, b));
                }
            }
            assert!(contrast(colors.dim, colors.ground) >= 4.5);
        }
    }

    #[test]
    fn each_ending_has_colours_and_a_class_of_its_own() {
        let css = sheet();
        for (at, ending) in Ending::ALL.into_iter().enumerate() {
            assert_eq!(ending as usize, at);
            assert_eq!(css.matches(&format!(".dt .{} .box{{fill:", class(ending))).count(), 2);
        }
    }
}
