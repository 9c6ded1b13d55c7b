//! `{a,b}` written out: alternatives may contain `/`, so they are taken apart before segments are.

use super::parse::{Atom, Node};

/// How many patterns one pattern may stand for.
pub(super) const MAX_ALTERNATIVES: usize = 10_000;

/// Every pattern without braces these nodes stand for; `None` if there are too many.
pub(super) fn expand(nodes: &[Node]) -> Option<Vec<Vec<Atom>>> {
    (count(nodes) <= MAX_ALTERNATIVES).then(|| product(nodes))
}

fn count(nodes: &[Node]) -> usize {
    nodes.iter().fold(1, |product: usize, node| match node {
        Node::Atom(_) => product,
        Node::Braces(alternatives) => {
            let sum = alternatives.iter().fold(0, |sum: usize, a| sum.saturating_add(count(a)));
            product.saturating_mul(sum)
        }
    })
}

fn product(nodes: &[Node]) -> Vec<Vec<Atom>> {
    let mut all = vec![Vec::new()];
    for node in nodes {
        match node {
            Node::Atom(atom) => all.iter_mut().for_each(|one| one.push(atom.clone())),
            Node::Braces(alternatives) => {
                let tails: Vec<Vec<Atom>> = alternatives.iter().flat_map(|a| product(a)).collect();
                all =
                    all.iter().flat_map(|head| tails.iter().map(|tail| [&head[..], tail].concat())).collect();
            }
        }
    }
    all
}
