//! Which connection feeds which pooled node: [`EdgeTable`].
//!
//! `disconnect()` cuts what a node feeds, never what feeds it, and Web Audio does not tell what does. So each
//! connection into a pooled node is recorded here, and cut when that node is released. A connection between two
//! pooled nodes is known to both: whichever is released first ends it, and the other never hears of it again (to
//! cut it twice is an exception in JavaScript, and after a reuse it would be someone else's).
//!
//! What a pooled node feeds outside the pools is recorded as well. `disconnect()` would cut it without that, but it throws away a
//! table of the browser's that the next connection makes anew; cut one by one, connections leave no garbage.
//!
//! Nodes and edges live in slabs. Each edge is in two doubly linked lists, of what enters a node and of what leaves
//! one, so that connecting and forgetting an edge are O(1), also at a bus that a thousand voices feed.

use alloc::vec::Vec;

/// A pooled node, for as long as it exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeId(u32);

/// One recorded connection. Stale once either end was released; a stale one is recognised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EdgeId {
    index: u32,
    generation: u32,
}

/// No index: the end of a list.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Links {
    previous: u32,
    next: u32,
}

struct Node {
    /// First edge of each list: what enters, what leaves.
    first: [u32; 2],
    live: bool,
}

struct Edge<T> {
    generation: u32,
    /// The node at each end, in the order of `Node::first`; no source if it is not pooled.
    ends: [u32; 2],
    links: [Links; 2],
    /// What to cut; `None` for a vacant entry.
    payload: Option<T>,
}

/// The two lists an edge can be in.
const INTO: usize = 0;
const FROM: usize = 1;

/// The connections into the pooled nodes of one context. `T` says what to cut.
pub struct EdgeTable<T> {
    nodes: Vec<Node>,
    free_nodes: Vec<u32>,
    edges: Vec<Edge<T>>,
    free_edges: Vec<u32>,
}

impl<T> Default for EdgeTable<T> {
    fn default() -> Self {
        Self { nodes: Vec::new(), free_nodes: Vec::new(), edges: Vec::new(), free_edges: Vec::new() }
    }
}

impl<T> EdgeTable<T> {
    /// An entry for a node that was made. Amortised O(1).
    pub fn add_node(&mut self) -> NodeId {
        let node = Node { first: [NONE; 2], live: true };
        NodeId(store(&mut self.nodes, &mut self.free_nodes, node))
    }

    /// Forgets a node that is destroyed, and its edges. O(edges of the node).
    pub fn remove_node(&mut self, node: NodeId) {
        if !self.is_live(node) {
            return;
        }
        while self.take_incoming(node).is_some() {}
        self.drop_outgoing(node);
        self.nodes[node.0 as usize].live = false;
        self.free_nodes.push(node.0);
    }

    /// Forgets a node that leaves the pools as it is. Its edges stay in the record of the pooled nodes at their other ends, which
    /// cut them when they are released. O(edges of the node).
    pub fn detach_node(&mut self, node: NodeId) {
        if !self.is_live(node) {
            return;
        }
        for (list, other) in [(INTO, FROM), (FROM, INTO)] {
            loop {
                let index = self.nodes[node.0 as usize].first[list];
                if index == NONE {
                    break;
                }
                let others_end = self.edges[index as usize].ends[other];
                if others_end == NONE || others_end == node.0 {
                    self.remove(index);
                } else {
                    self.unlink(list, index);
                    let edge = &mut self.edges[index as usize];
                    edge.ends[list] = NONE;
                    edge.links[list] = Links { previous: NONE, next: NONE };
                }
            }
        }
        self.remove_node(node);
    }

    /// Records that `from` (if it is pooled) feeds `to`. O(1), amortised.
    ///
    /// `None` if either node was removed.
    pub fn connect(&mut self, from: Option<NodeId>, to: NodeId, payload: T) -> Option<EdgeId> {
        let known = self.is_live(to) && from.is_none_or(|from| self.is_live(from));
        known.then(|| self.add([to.0, from.map_or(NONE, |from| from.0)], payload))
    }

    /// Records that `from` feeds something that is not pooled. O(1), amortised.
    ///
    /// `None` if it was removed.
    pub fn connect_out(&mut self, from: NodeId, payload: T) -> Option<EdgeId> {
        self.is_live(from).then(|| self.add([NONE, from.0], payload))
    }

    fn add(&mut self, ends: [u32; 2], payload: T) -> EdgeId {
        let links = [Links { previous: NONE, next: NONE }; 2];
        let generation = self.free_edges.last().map_or(0, |&index| self.edges[index as usize].generation);
        let edge = Edge { generation, ends, links, payload: Some(payload) };
        let index = store(&mut self.edges, &mut self.free_edges, edge);
        for list in [INTO, FROM] {
            self.link(list, index);
        }
        EdgeId { index, generation }
    }

    /// Forgets one edge into `node`, and gives what to cut. O(1).
    pub fn take_incoming(&mut self, node: NodeId) -> Option<T> {
        self.take_first(INTO, node)
    }

    /// Forgets one edge out of `node`, and gives what to cut. O(1).
    pub fn take_outgoing(&mut self, node: NodeId) -> Option<T> {
        self.take_first(FROM, node)
    }

    fn take_first(&mut self, list: usize, node: NodeId) -> Option<T> {
        if !self.is_live(node) {
            return None;
        }
        match self.nodes[node.0 as usize].first[list] {
            NONE => None,
            index => self.remove(index),
        }
    }

    /// The edges into `to`: from `from` if that is a pooled node, else those from none that `is_wanted` says yes to. O(edges
    /// into it).
    pub fn incoming(&self, to: NodeId, from: Option<NodeId>, is_wanted: impl Fn(&T) -> bool) -> Vec<EdgeId> {
        let mut found = Vec::new();
        let mut index = if self.is_live(to) { self.nodes[to.0 as usize].first[INTO] } else { NONE };
        while index != NONE {
            let edge = &self.edges[index as usize];
            let wanted = match from {
                Some(from) => edge.ends[FROM] == from.0,
                None => edge.ends[FROM] == NONE && edge.payload.as_ref().is_some_and(&is_wanted),
            };
            if wanted {
                found.push(EdgeId { index, generation: edge.generation });
            }
            index = edge.links[INTO].next;
        }
        found
    }

    /// Forgets `edge`, and gives what to cut; `None` if it is gone already. O(1).
    pub fn take(&mut self, edge: EdgeId) -> Option<T> {
        let current = self.edges.get(edge.index as usize)?;
        if current.generation != edge.generation {
            return None;
        }
        self.remove(edge.index)
    }

    /// Forgets the edges out of `node`, which its `disconnect()` cut. O(edges out of it).
    pub fn drop_outgoing(&mut self, node: NodeId) {
        while self.take_outgoing(node).is_some() {}
    }

    /// Edges recorded now. O(1).
    #[must_use]
    pub fn len(&self) -> usize {
        self.edges.len() - self.free_edges.len()
    }

    /// Whether no edge is recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn is_live(&self, node: NodeId) -> bool {
        self.nodes.get(node.0 as usize).is_some_and(|node| node.live)
    }

    fn link(&mut self, list: usize, index: u32) {
        let node = self.edges[index as usize].ends[list];
        if node == NONE {
            return;
        }
        let first = &mut self.nodes[node as usize].first[list];
        let next = core::mem::replace(first, index);
        self.edges[index as usize].links[list].next = next;
        if next != NONE {
            self.edges[next as usize].links[list].previous = index;
        }
    }

    fn unlink(&mut self, list: usize, index: u32) {
        let node = self.edges[index as usize].ends[list];
        if node == NONE {
            return;
        }
        let Links { previous, next } = self.edges[index as usize].links[list];
        match previous {
            NONE => self.nodes[node as usize].first[list] = next,
            previous => self.edges[previous as usize].links[list].next = next,
        }
        if next != NONE {
            self.edges[next as usize].links[list].previous = previous;
        }
    }

    fn remove(&mut self, index: u32) -> Option<T> {
        let payload = self.edges[index as usize].payload.take()?;
        for list in [INTO, FROM] {
            self.unlink(list, index);
        }
        let edge = &mut self.edges[index as usize];
        edge.generation = edge.generation.wrapping_add(1);
        self.free_edges.push(index);
        Some(payload)
    }
}

/// Puts `item` into a vacant entry or a new one.
fn store<E>(items: &mut Vec<E>, free: &mut Vec<u32>, item: E) -> u32 {
    if let Some(index) = free.pop() {
        items[index as usize] = item;
        return index;
    }
    items.push(item);
    // The address space of 32 bits cannot hold 2^32 entries, and a browser gives up long before.
    (items.len() - 1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn drain<T>(table: &mut EdgeTable<T>, node: NodeId) -> Vec<T> {
        core::iter::from_fn(|| table.take_incoming(node)).collect()
    }

    // `disconnect()` leaves what feeds the node: a release that forgets an input lets it sound in the next voice.
    #[test]
    fn every_input_is_cut_once() {
        let mut table = EdgeTable::default();
        let node = table.add_node();
        let other = table.add_node();
        table.connect(None, node, "source");
        table.connect(None, other, "not this one");
        table.connect(Some(other), node, "lfo to gain");
        assert_eq!(drain(&mut table, node), vec!["lfo to gain", "source"]);
        assert_eq!(drain(&mut table, node), Vec::<&str>::new());
        assert_eq!(table.len(), 1);
    }

    // The source was released, so its outputs are cut already; to cut them again is an exception in the browser,
    // or cuts what a later user of the source connected.
    #[test]
    fn a_released_source_takes_its_edges_along() {
        let mut table = EdgeTable::default();
        let (gain, filter, delay) = (table.add_node(), table.add_node(), table.add_node());
        table.connect(Some(gain), filter, 1);
        table.connect(Some(gain), delay, 2);
        table.connect(Some(filter), gain, 3);
        table.drop_outgoing(gain);
        assert_eq!(drain(&mut table, filter), Vec::<i32>::new());
        assert_eq!(drain(&mut table, delay), Vec::<i32>::new());
        assert_eq!(drain(&mut table, gain), vec![3], "what feeds it is its own matter");
        assert!(table.is_empty());
    }

    // What is cut piece by piece must be all of it, what leads out of the pools too, and once only: else the next user's
    // sound is heard where the last one's went.
    #[test]
    fn every_output_is_cut_once() {
        let mut table = EdgeTable::default();
        let (gain, filter) = (table.add_node(), table.add_node());
        table.connect(Some(gain), filter, "into the pool");
        table.connect_out(gain, "out of it");
        table.connect_out(filter, "not this one");
        let outgoing: Vec<_> = core::iter::from_fn(|| table.take_outgoing(gain)).collect();
        assert_eq!(outgoing, vec!["out of it", "into the pool"]);
        assert_eq!(drain(&mut table, filter), Vec::<&str>::new());
        assert_eq!(table.len(), 1);
        table.remove_node(filter);
        assert!(table.is_empty());
        assert_eq!(table.connect_out(filter, "gone"), None);
    }

    // Feedback: a node that feeds itself is in both of its own lists.
    #[test]
    fn a_node_may_feed_itself() {
        let mut table = EdgeTable::default();
        let delay = table.add_node();
        table.connect(Some(delay), delay, ());
        assert_eq!(drain(&mut table, delay).len(), 1);
        table.connect(Some(delay), delay, ());
        table.drop_outgoing(delay);
        assert!(table.is_empty());
    }

    // A bus that lives long lets go of one source that has ended, and of nothing else.
    #[test]
    fn edges_are_found_by_their_ends() {
        let mut table = EdgeTable::default();
        let (bus, gain, other) = (table.add_node(), table.add_node(), table.add_node());
        let kept = [table.connect(None, bus, "hum"), table.connect(Some(other), bus, "other")];
        let wanted = [table.connect(Some(gain), bus, "gain"), table.connect(Some(gain), bus, "param")];
        let source = table.connect(None, bus, "source");
        table.connect(Some(gain), other, "elsewhere");
        let found = table.incoming(bus, Some(gain), |_| false);
        assert_eq!(found, [wanted[1].unwrap(), wanted[0].unwrap()]);
        let found = table.incoming(bus, None, |&payload| payload == "source");
        assert_eq!(found, [source.unwrap()]);
        assert_eq!(found.into_iter().map(|edge| table.take(edge)).collect::<Vec<_>>(), [Some("source")]);
        assert_eq!(table.incoming(bus, None, |_| true), [kept[0].unwrap()]);
        table.remove_node(bus);
        assert!(table.incoming(bus, None, |_| true).is_empty());
    }

    // An id that outlives its edge must not cut the one that took its place.
    #[test]
    fn stale_edges_are_recognised() {
        let mut table = EdgeTable::default();
        let (a, b) = (table.add_node(), table.add_node());
        let first = table.connect(Some(a), b, 'x');
        table.drop_outgoing(a);
        let second = table.connect(None, a, 'y');
        assert_eq!(first.and_then(|edge| table.take(edge)), None);
        assert_eq!(second.and_then(|edge| table.take(edge)), Some('y'));
        assert_eq!(second.and_then(|edge| table.take(edge)), None);
    }

    // A node that its user takes out stays connected: whoever it is connected with must still be cut off from it when released, or
    // the next user of that one is heard there, or hears it.
    #[test]
    fn who_stays_remembers_who_left() {
        let mut table = EdgeTable::default();
        let (before, left, after) = (table.add_node(), table.add_node(), table.add_node());
        let into = table.connect(Some(before), left, "into it");
        table.connect(Some(left), after, "out of it");
        table.connect(Some(left), left, "feedback");
        table.connect(None, left, "source");
        table.connect_out(left, "destination");
        table.connect(Some(before), after, "past it");
        table.detach_node(left);
        table.detach_node(left);
        assert_eq!(table.len(), 3);
        assert_eq!(table.incoming(after, None, |_| true).len(), 1, "as from a node that is in no pool");
        assert_ne!(table.add_node(), before, "the entry is another's now");
        let outgoing: Vec<_> = core::iter::from_fn(|| table.take_outgoing(before)).collect();
        assert_eq!(outgoing, vec!["past it", "into it"]);
        assert_eq!(into.and_then(|edge| table.take(edge)), None);
        assert_eq!(drain(&mut table, after), vec!["out of it"]);
        assert!(table.is_empty());
    }

    // A removed node must neither be fed nor feed.
    #[test]
    fn removed_nodes_take_no_edges() {
        let mut table = EdgeTable::default();
        let (a, b) = (table.add_node(), table.add_node());
        table.connect(Some(a), b, ());
        table.remove_node(a);
        table.remove_node(a);
        assert!(table.is_empty());
        assert_eq!(table.connect(Some(a), b, ()), None);
        assert_eq!(table.connect(None, a, ()), None);
        let again = table.add_node();
        assert_ne!(again, table.add_node(), "an entry must not be handed out twice");
    }
}
