//! Parts that have nothing to do with each other, put side by side: in rows, the high ones first.

use super::Size;

/// Between two parts.
const GAP: f64 = 36.0;
/// The same beneath each other, where they are single boxes or as low as these.
const LOW_GAP: f64 = 14.0;
/// How much wider than high the whole should be.
const SHAPE: f64 = 1.6;

/// The upper left corner of each, and what all need.
pub(super) fn packed(areas: &[Size]) -> (Vec<(f64, f64)>, Size) {
    let surface: f64 = areas.iter().map(|area| (area.width + GAP) * (area.height + GAP)).sum();
    let widest = areas.iter().map(|area| area.width).fold(0.0, f64::max);
    let limit = widest.max((surface * SHAPE).sqrt());
    let mut by_height: Vec<usize> = (0..areas.len()).collect();
    by_height.sort_by(|a, b| areas[*b].height.total_cmp(&areas[*a].height));

    let mut corners = vec![(0.0, 0.0); areas.len()];
    let mut whole = Size::default();
    // The row being filled, and the stack at its end.
    let (mut row_y, mut row_height) = (0.0, 0.0);
    let (mut stack_x, mut stack_width, mut stack_height) = (0.0, 0.0, 0.0);
    for at in by_height {
        let Size { width, height } = areas[at];
        let gap = if height < 60.0 { LOW_GAP } else { GAP };
        let fits_below = stack_height + gap + height <= row_height && stack_x + width <= limit;
        if stack_height > 0.0 && !fits_below {
            stack_x += stack_width + GAP;
            (stack_width, stack_height) = (0.0, 0.0);
            if stack_x + width > limit {
                (row_y, row_height, stack_x) = (row_y + row_height + GAP, 0.0, 0.0);
            }
        }
        let y = if stack_height > 0.0 { stack_height + gap } else { 0.0 };
        corners[at] = (stack_x, row_y + y);
        stack_height = y + height;
        stack_width = width.max(stack_width);
        row_height = stack_height.max(row_height);
        whole.width = whole.width.max(stack_x + width);
        whole.height = whole.height.max(row_y + stack_height);
    }
    (corners, whole)
}
