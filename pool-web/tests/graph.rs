//! The record of connections against a plain list of them, in any order of operations.

#![cfg(not(target_family = "wasm"))]
#![allow(clippy::expect_used, reason = "tests")]

use pool_web::edges::{EdgeId, EdgeTable, NodeId};
use proptest::prelude::*;

/// What a program does to its graph. Numbers choose among what there is.
#[derive(Clone, Debug)]
enum Operation {
    Make,
    Destroy(usize),
    Detach(usize),
    /// From a pooled node, or from a source that is in no pool.
    Connect(Option<usize>, usize),
    /// To something that is in no pool.
    ConnectOut(usize),
    Cut(usize),
    /// As a release does it: inputs one by one, then the outputs, at once or one by one too.
    Release(usize, bool),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => Just(Operation::Make),
        1 => any::<usize>().prop_map(Operation::Destroy),
        1 => any::<usize>().prop_map(Operation::Detach),
        8 => (proptest::option::of(any::<usize>()), any::<usize>()).prop_map(|(from, to)| Operation::Connect(from, to)),
        2 => any::<usize>().prop_map(Operation::Cut),
        3 => any::<usize>().prop_map(Operation::ConnectOut),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(node, at_once)| Operation::Release(node, at_once)),
    ]
}

#[derive(Default)]
struct Model {
    nodes: Vec<NodeId>,
    /// Nodes that were destroyed: their ids must do nothing, unless a new node has them.
    gone: Vec<NodeId>,
    edges: Vec<(u32, Option<NodeId>, Option<NodeId>)>,
    /// Every id that was ever given, with its tag.
    ids: Vec<(EdgeId, u32)>,
}

impl Model {
    fn pick(&self, number: usize) -> Option<NodeId> {
        (!self.nodes.is_empty()).then(|| self.nodes[number % self.nodes.len()])
    }
}

fn perform(table: &mut EdgeTable<u32>, model: &mut Model, tag: u32, operation: &Operation) {
    match *operation {
        Operation::Make => {
            let node = table.add_node();
            assert!(!model.nodes.contains(&node), "one id for two nodes");
            model.gone.retain(|gone| *gone != node);
            model.nodes.push(node);
        }
        Operation::Destroy(number) => {
            let Some(node) = model.pick(number) else { return };
            table.remove_node(node);
            model.nodes.retain(|other| *other != node);
            model.edges.retain(|(_, from, to)| *from != Some(node) && *to != Some(node));
            model.gone.push(node);
        }
        Operation::Detach(number) => {
            let Some(node) = model.pick(number) else { return };
            table.detach_node(node);
            model.nodes.retain(|other| *other != node);
            for (_, from, to) in &mut model.edges {
                for end in [from, to] {
                    if *end == Some(node) {
                        *end = None;
                    }
                }
            }
            model.edges.retain(|(_, from, to)| from.is_some() || to.is_some());
            model.gone.push(node);
        }
        Operation::Connect(from, to) => {
            let Some(to) = model.pick(to) else { return };
            let from = from.and_then(|from| model.pick(from));
            let edge = table.connect(from, to, tag).expect("both are there");
            model.edges.push((tag, from, Some(to)));
            model.ids.push((edge, tag));
        }
        Operation::ConnectOut(number) => {
            let Some(node) = model.pick(number) else { return };
            let edge = table.connect_out(node, tag).expect("it is there");
            model.edges.push((tag, Some(node), None));
            model.ids.push((edge, tag));
        }
        Operation::Cut(number) => {
            if model.ids.is_empty() {
                return;
            }
            let (edge, tag) = model.ids[number % model.ids.len()];
            let there = model.edges.iter().any(|(other, ..)| *other == tag);
            assert_eq!(table.take(edge), there.then_some(tag), "an id means its own edge or none");
            model.edges.retain(|(other, ..)| *other != tag);
        }
        Operation::Release(number, at_once) => {
            let Some(node) = model.pick(number) else { return };
            let mut cut: Vec<u32> = std::iter::from_fn(|| table.take_incoming(node)).collect();
            if at_once {
                table.drop_outgoing(node);
            } else {
                cut.extend(std::iter::from_fn(|| table.take_outgoing(node)));
            }
            cut.sort_unstable();
            let is_cut = |from: Option<NodeId>, to| to == Some(node) || (!at_once && from == Some(node));
            let of_node = model.edges.iter().filter(|(_, from, to)| is_cut(*from, *to));
            let mut expected: Vec<u32> = of_node.map(|(tag, ..)| *tag).collect();
            expected.sort_unstable();
            assert_eq!(cut, expected, "each is cut once, and no other");
            model.edges.retain(|(_, from, to)| *from != Some(node) && *to != Some(node));
        }
    }
    assert_eq!(table.len(), model.edges.len());
    for gone in &model.gone {
        assert_eq!((table.take_incoming(*gone), table.take_outgoing(*gone)), (None, None));
        assert_eq!(table.connect_out(*gone, tag), None);
    }
}

proptest! {
    // A connection that is forgotten sounds into the next voice; one that is cut twice throws, or cuts a stranger's.
    #[test]
    fn the_record_agrees_with_a_plain_list(operations in proptest::collection::vec(operation(), 0..200)) {
        let (mut table, mut model) = (EdgeTable::default(), Model::default());
        for (tag, operation) in operations.iter().enumerate() {
            perform(&mut table, &mut model, tag as u32, operation);
        }
        for node in model.nodes.clone() {
            table.remove_node(node);
        }
        prop_assert!(table.is_empty(), "what is left feeds nobody");
    }
}
