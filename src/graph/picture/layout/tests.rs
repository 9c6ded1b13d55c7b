use super::*;

type Edges = Vec<(usize, usize)>;

const BOX: Size = Size { width: 100.0, height: 32.0 };

/// Boxes of different sizes, as they come.
fn sizes(count: usize) -> Vec<Size> {
    (0..count)
        .map(|at| Size { width: BOX.width + (at * 37 % 90) as f64, height: BOX.height + (at % 3 * 6) as f64 })
        .collect()
}

fn random(count: usize, edges: usize, seed: u64) -> (usize, Edges) {
    let mut random = fastrand::Rng::with_seed(seed);
    let ends = |_| {
        let to = random.usize(1..count);
        (random.usize(to.saturating_sub(12)..to), to)
    };
    let mut all: Edges = (0..edges).map(ends).collect();
    all.sort_unstable();
    all.dedup();
    (count, all)
}

fn fixtures() -> Vec<(&'static str, usize, Edges)> {
    let fan = (1..=20).flat_map(|at| [(0, at), (at, 21)]).collect();
    let complete = (0..8).flat_map(|from| (8..16).map(move |to| (from, to))).collect();
    let mut all = vec![
        ("nothing", 0, vec![]),
        ("one", 1, vec![]),
        ("apart", 30, vec![]),
        ("chain", 40, (1..40).map(|at| (at - 1, at)).collect()),
        ("diamond", 4, vec![(0, 1), (0, 2), (1, 3), (2, 3)]),
        ("long", 6, vec![(0, 1), (0, 5), (1, 2), (2, 3), (3, 4), (4, 5)]),
        ("fan", 22, fan),
        ("complete", 16, complete),
        ("two", 6, vec![(0, 2), (1, 3), (2, 4), (3, 5)]),
        ("crossed", 6, vec![(0, 5), (1, 4), (2, 3)]),
    ];
    for seed in 0..12 {
        let (count, edges) = random(20 + seed as usize * 15, 30 + seed as usize * 25, seed);
        all.push(("random", count, edges));
    }
    all
}

fn overlap(a: &Placed, b: &Placed) -> bool {
    a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
}

#[test]
fn no_box_covers_another() {
    for (name, count, edges) in fixtures() {
        let Layout { boxes, width, height, .. } = lay_out(&sizes(count), &edges);
        for (at, one) in boxes.iter().enumerate() {
            let within =
                one.x >= 0.0 && one.y >= 0.0 && one.x + one.width <= width && one.y + one.height <= height;
            assert!(within, "{name}: {one:?} is not within {width} × {height}");
            assert!(
                one.width >= sizes(count)[at].width && one.height == sizes(count)[at].height,
                "{name}: {at}"
            );
            let covered = boxes[..at].iter().find(|other| overlap(one, other));
            assert!(covered.is_none(), "{name}: {one:?} and {covered:?}");
        }
    }
}

#[test]
fn every_line_leads_from_its_box_to_the_right() {
    for (name, count, edges) in fixtures() {
        let Layout { boxes, lines, .. } = lay_out(&sizes(count), &edges);
        for (line, (from, to)) in lines.iter().zip(&edges) {
            let (from, to) = (boxes[*from], boxes[*to]);
            let (first, last) = (line[0], line[line.len() - 1]);
            assert_eq!((first.from_x, first.y), (from.x + from.width, from.y + from.height / 2.0), "{name}");
            assert_eq!((last.to_x, last.y), (to.x, to.y + to.height / 2.0), "{name}");
            for pair in line.windows(2) {
                assert!(pair[0].to_x + CHANNEL <= pair[1].from_x + 0.5, "{name}: {pair:?}");
            }
        }
    }
}

/// Between its level stretches a line stays in the channel between two columns, where no box is.
#[test]
fn no_line_runs_through_a_box() {
    for (name, count, edges) in fixtures() {
        let Layout { boxes, lines, .. } = lay_out(&sizes(count), &edges);
        for line in &lines {
            for level in &line[1..line.len() - 1] {
                let hit = boxes.iter().find(|b| {
                    b.x < level.to_x
                        && level.from_x < b.x + b.width
                        && b.y < level.y
                        && level.y < b.y + b.height
                });
                assert!(hit.is_none(), "{name}: {level:?} in {hit:?}");
            }
            for pair in line.windows(2) {
                let (top, bottom) = (pair[0].y.min(pair[1].y), pair[0].y.max(pair[1].y));
                let bend = Placed {
                    x: pair[0].to_x,
                    y: top,
                    width: pair[1].from_x - pair[0].to_x,
                    height: bottom - top,
                };
                let hit = boxes.iter().find(|b| overlap(&bend, b));
                assert!(hit.is_none(), "{name}: {bend:?} in {hit:?}");
            }
        }
    }
}

#[test]
fn the_same_graph_is_always_laid_out_the_same_way() {
    for (name, count, edges) in fixtures() {
        assert_eq!(lay_out(&sizes(count), &edges), lay_out(&sizes(count), &edges), "{name}");
    }
}

fn net(count: usize, edges: &Edges) -> Net {
    let edges: Vec<Edge> =
        edges.iter().enumerate().map(|(number, (from, to))| Edge { from: *from, to: *to, number }).collect();
    Net::new(&layers::layers(count, &edges), &edges)
}

#[test]
fn no_more_lines_cross_than_in_the_order_of_numbers() {
    let (mut before, mut after) = (0, 0);
    for (name, count, edges) in fixtures() {
        let net = net(count, &edges);
        let naive = order::crossings(&net, &net.columns());
        let arranged = order::crossings(&net, &order::arranged(&net));
        assert!(arranged <= naive, "{name}: {arranged} instead of {naive}");
        (before, after) = (before + naive, after + arranged);
    }
    assert!(after * 2 < before, "hardly better: {after} of {before}");
}

#[test]
fn lines_that_need_not_cross_do_not() {
    for (name, least) in
        [("diamond", 0), ("long", 0), ("fan", 0), ("two", 0), ("crossed", 0), ("complete", 784)]
    {
        let (_, count, edges) = fixtures().into_iter().find(|fixture| fixture.0 == name).unwrap();
        let net = net(count, &edges);
        assert_eq!(order::crossings(&net, &order::arranged(&net)), least, "{name}");
    }
    let naive = net(6, &vec![(0, 5), (1, 4), (2, 3)]);
    assert_eq!(order::crossings(&naive, &naive.columns()), 3, "that is how they are counted");
}

#[test]
fn a_chain_is_a_straight_line() {
    let edges: Edges = (1..40).map(|at| (at - 1, at)).collect();
    let layout = lay_out(&[BOX; 40], &edges);
    assert_eq!(layout.height, BOX.height);
}

#[test]
fn a_crowded_column_is_left_by_who_may() {
    // Many threes of which only the first and the last have a column to themselves.
    let mut edges: Edges = (1..20).map(|at| (at - 1, at)).collect();
    for at in 20..120 {
        edges.extend([(0, at), (at, 19)]);
    }
    edges.sort_unstable();
    // The numbers must ascend along the edges: the last of the chain moves to the end.
    let number = |at: usize| match at {
        19 => 119,
        at if at > 19 => at - 1,
        at => at,
    };
    let edges: Vec<Edge> = edges
        .iter()
        .enumerate()
        .map(|(n, (from, to))| Edge { from: number(*from), to: number(*to), number: n })
        .collect();
    let layer = layers::layers(120, &edges);
    let most = (0..20).map(|column| layer.iter().filter(|at| **at == column).count()).max();
    assert!(most <= Some(14), "{most:?}");
}

#[test]
fn what_is_long_or_wide_is_laid_out_all_the_same() {
    let longest = lay_out(&vec![BOX; 100_000], &(1..100_000).map(|at| (at - 1, at)).collect::<Edges>());
    assert_eq!(longest.height, BOX.height);
    let count = 10_000;
    let chain = (1..count).map(|at| (at - 1, at));
    let fan = (2..count).map(|at| (0, at));
    let ladder = (2..count).map(|at| (at - 2, at));
    let far = (0..1000).map(|at| (at, count - 1));
    for edges in [fan.collect::<Edges>(), chain.clone().chain(ladder).collect(), chain.chain(far).collect()] {
        let layout = lay_out(&vec![BOX; count], &edges);
        assert!(layout.lines.iter().all(|line| line.len() >= 2));
        let columns = edges.len() + 2 * count;
        let stretches: usize = layout.lines.iter().map(Vec::len).sum();
        assert!(stretches <= 40 * columns, "{stretches}");
    }
}
