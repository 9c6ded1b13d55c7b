//! At which height the items of a column stand: near what lines join them with, in their order, apart.

use super::{GAP, order::Net};

/// How often the columns are gone through, to and fro.
const SWEEPS: usize = 25;
/// How much a line between two passages wants to be straight, against one at a box.
const STRAIGHT: f64 = 8.0;
/// How much an item nothing pulls wants to stay.
const IDLE: f64 = 0.01;

/// The middle of each item, from 0 at the top of the highest.
pub(super) fn heights(net: &Net, columns: &[Vec<usize>], height: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut y = vec![0.0; net.layer.len()];
    let apart = |above: usize, below: usize| {
        let gap = if net.is_passage(above) || net.is_passage(below) { GAP / 2.0 } else { GAP };
        (height(above) + height(below)) / 2.0 + gap
    };
    // Before anything pulls: closed up, around 0.
    for column in columns {
        let offsets = offsets(column, apart);
        let middle = offsets.last().copied().unwrap_or(0.0) / 2.0;
        column.iter().zip(offsets).for_each(|(item, offset)| y[*item] = offset - middle);
    }
    for sweep in 0..SWEEPS {
        let rightwards = sweep % 2 == 0;
        let both = sweep + 9 >= SWEEPS;
        for step in 0..columns.len() {
            let column = &columns[if rightwards { step } else { columns.len() - 1 - step }];
            let wishes: Vec<(f64, f64)> = column
                .iter()
                .map(|item| {
                    let up = (both || rightwards).then_some(&net.up[*item]);
                    let down = (both || !rightwards).then_some(&net.down[*item]);
                    wish(net, *item, up.into_iter().chain(down).flatten().copied(), &y)
                })
                .collect();
            let offsets = offsets(column, apart);
            let places = settled(&wishes, &offsets);
            column.iter().zip(places).for_each(|(item, place)| y[*item] = place);
        }
    }
    let top = (0..y.len()).map(|item| y[item] - height(item) / 2.0).fold(f64::INFINITY, f64::min);
    // Whole pixels; what stands apart by whole pixels stays so.
    y.iter_mut().for_each(|at| *at = (*at - top).round());
    y
}

/// How far below the first each item of a column stands at least.
fn offsets(column: &[usize], apart: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let mut offset = 0.0;
    let gaps = column.windows(2).map(|pair| apart(pair[0], pair[1]));
    std::iter::once(0.0)
        .chain(gaps)
        .map(|gap| {
            offset += gap;
            offset
        })
        .take(column.len())
        .collect()
}

/// Where an item wants to be, and how much.
fn wish(net: &Net, item: usize, near: impl Iterator<Item = usize>, y: &[f64]) -> (f64, f64) {
    let (mut sum, mut weight) = (0.0, 0.0);
    for other in near {
        let pull = if net.is_passage(item) && net.is_passage(other) { STRAIGHT } else { 1.0 };
        sum += y[other] * pull;
        weight += pull;
    }
    if weight > 0.0 { (sum / weight, weight) } else { (y[item], IDLE) }
}

/// The places nearest to what all wish that keep the order and the distances: least squares. Items that push each
/// other become blocks, which stand where their members together want them.
fn settled(wishes: &[(f64, f64)], offsets: &[f64]) -> Vec<f64> {
    // Of each block: where its first would stand at offset 0, its weight, its members.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for ((at, weight), offset) in wishes.iter().zip(offsets) {
        let mut block = (at - offset, *weight, 1);
        while let Some(above) = blocks.pop_if(|above| above.0 > block.0) {
            let weight = above.1 + block.1;
            block = ((above.0 * above.1 + block.0 * block.1) / weight, weight, above.2 + block.2);
        }
        blocks.push(block);
    }
    let firsts = blocks.into_iter().flat_map(|(at, _, members)| std::iter::repeat_n(at, members));
    firsts.zip(offsets).map(|(at, offset)| at + offset).collect()
}
