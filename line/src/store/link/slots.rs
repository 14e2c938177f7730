//! Which node of a cluster has which slots, as its nodes tell.

use std::sync::Arc;

use redis::Value;

/// How many slots a cluster has.
const SLOTS: u16 = 16_384;
/// Stands for the node of a slot that nobody has.
const NOBODY: u16 = u16::MAX;

/// The slot of a key: that of its tag, if it has one.
pub(in crate::store) fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| {
        let (tag, _) = rest.split_once('}')?;
        (!tag.is_empty()).then_some(tag)
    });
    let hash = crc16::State::<crc16::XMODEM>::calculate(tag.unwrap_or(key).as_bytes());
    hash % SLOTS
}

/// Where a node is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Node {
    /// Its host, by name or number.
    pub(super) host: Arc<str>,
    /// Its port.
    pub(super) port: u16,
}

impl Node {
    /// From `host:port`, as redirections have it. A node that does not know its own host leaves
    /// it out: it is the one that was asked.
    pub(super) fn read(text: &str, asked: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some(Self {
            host: if host.is_empty() { asked } else { host }.into(),
            port: port.parse().ok()?,
        })
    }
}

/// Which node has which slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlotMap {
    /// All nodes, replicas too.
    nodes: Vec<Node>,
    /// Of each slot, the index of its node.
    owners: Vec<u16>,
}

impl SlotMap {
    /// Reads the answer to `CLUSTER SLOTS` of the node at the host `asked`.
    pub(super) fn read(answer: &Value, asked: &str) -> Option<Self> {
        let Value::Array(ranges) = answer else {
            return None;
        };
        let mut map = Self {
            nodes: Vec::new(),
            owners: vec![NOBODY; usize::from(SLOTS)],
        };
        for range in ranges {
            let Value::Array(fields) = range else {
                return None;
            };
            let [Value::Int(first), Value::Int(last), nodes @ ..] = &fields[..] else {
                return None;
            };
            let mut indexes = nodes
                .iter()
                .map(|node| Some(map.index(read_node(node, asked)?)));
            let owner = indexes.next()??;
            indexes.collect::<Option<Vec<_>>>()?;
            let (first, last) = (usize::try_from(*first).ok()?, usize::try_from(*last).ok()?);
            map.owners.get_mut(first..=last)?.fill(owner);
        }
        Some(map)
    }

    /// The node that has `slot`.
    pub(super) fn owner(&self, slot: u16) -> Option<&Node> {
        let index = self.owners.get(usize::from(slot))?;
        self.nodes.get(usize::from(*index))
    }

    /// All nodes.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The map after `slot` has gone to `node`.
    pub(super) fn moved(&self, slot: u16, node: Node) -> Self {
        let mut map = self.clone();
        let index = map.index(node);
        if let Some(owner) = map.owners.get_mut(usize::from(slot)) {
            *owner = index;
        }
        map
    }

    /// The index of `node`, which is added if it is new. A cluster has a thousand nodes at most.
    fn index(&mut self, node: Node) -> u16 {
        let known = self.nodes.iter().position(|known| *known == node);
        let index = known.unwrap_or_else(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        });
        u16::try_from(index).unwrap_or(NOBODY)
    }
}

fn read_node(node: &Value, asked: &str) -> Option<Node> {
    let Value::Array(fields) = node else {
        return None;
    };
    let [host, Value::Int(port), ..] = &fields[..] else {
        return None;
    };
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        Value::Nil => "",
        _ => return None,
    };
    Some(Node {
        // A node that has no name and does not know its address is the one that was asked.
        host: if host.is_empty() || host == "?" {
            asked
        } else {
            host
        }
        .into(),
        port: u16::try_from(*port).ok()?,
    })
}

/// A cluster as one of its nodes sees it.
pub(super) struct Sight {
    /// Whether the node is in touch with most of the others.
    is_ok: bool,
    /// The latest change of the cluster that it has heard of.
    epoch: u64,
    /// Its map.
    map: SlotMap,
}

impl Sight {
    /// Reads the answers to `CLUSTER INFO` and `CLUSTER SLOTS` of the node at the host `asked`.
    pub(super) fn read(info: &str, slots: &Value, asked: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut lines = info.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        };
        Some(Self {
            is_ok: field("cluster_state")? == "ok",
            epoch: field("cluster_current_epoch")?.parse().ok()?,
            map: SlotMap::read(slots, asked)?,
        })
    }
}

/// The map of the node that knows best: a node that lost touch with the others does not hear who
/// took over.
pub(super) fn freshest(sights: impl IntoIterator<Item = Sight>) -> Option<SlotMap> {
    let sights = sights.into_iter();
    let best = sights.max_by_key(|sight| (sight.is_ok, sight.epoch));
    best.map(|sight| sight.map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(host: &str, port: u16) -> Node {
        Node {
            host: host.into(),
            port,
        }
    }

    fn told(host: &str, port: i64) -> Value {
        Value::Array(vec![
            Value::BulkString(host.as_bytes().to_vec()),
            Value::Int(port),
            Value::BulkString(b"id".to_vec()),
        ])
    }

    fn range(first: i64, last: i64, nodes: Vec<Value>) -> Value {
        Value::Array([vec![Value::Int(first), Value::Int(last)], nodes].concat())
    }

    #[test]
    fn a_slot_is_that_of_the_tag() {
        // As CLUSTER KEYSLOT says.
        assert_eq!(slot_of("foo"), 12_182);
        assert_eq!(slot_of("rl1:{foo}:line"), 12_182);
        assert_eq!(slot_of("it-1:rl1:{foo}:gateway:{x}"), 12_182);
        assert_eq!(slot_of("bar"), 5_061);
        assert_eq!(slot_of("a{}{bar}"), slot_of("a{}{bar}"));
        assert_ne!(slot_of("a{}{bar}"), 5_061, "an empty tag is none");
    }

    #[test]
    fn a_map_tells_who_has_a_slot() {
        let answer = Value::Array(vec![
            range(
                0,
                8_191,
                vec![told("10.0.0.1", 7000), told("10.0.0.2", 7000)],
            ),
            range(8_193, 16_383, vec![told("", 7001)]),
        ]);
        let map = SlotMap::read(&answer, "asked.example").unwrap();
        assert_eq!(map.owner(0), Some(&node("10.0.0.1", 7000)));
        assert_eq!(map.owner(8_191), Some(&node("10.0.0.1", 7000)));
        assert_eq!(map.owner(8_192), None);
        assert_eq!(map.owner(16_383), Some(&node("asked.example", 7001)));
        assert_eq!(map.nodes().len(), 3);
        let moved = map.moved(8_192, node("10.0.0.2", 7000));
        assert_eq!(moved.owner(8_192), Some(&node("10.0.0.2", 7000)));
        assert_eq!(moved.owner(8_193), map.owner(8_193));
        assert_eq!(moved.nodes().len(), 3);
        for unreadable in [
            Value::Nil,
            Value::Array(vec![range(0, 1, vec![])]),
            Value::Array(vec![range(0, 16_384, vec![told("h", 1)])]),
            Value::Array(vec![range(5, 1, vec![told("h", 1)])]),
            Value::Array(vec![range(0, 1, vec![Value::Nil])]),
        ] {
            assert_eq!(SlotMap::read(&unreadable, "h"), None, "{unreadable:?}");
        }
    }

    #[test]
    fn redirections_name_nodes() {
        for (text, expected) in [
            ("10.0.0.1:7000", Some(node("10.0.0.1", 7000))),
            ("[fe80::1]:7000", Some(node("fe80::1", 7000))),
            ("fe80::1:7000", Some(node("fe80::1", 7000))),
            (":7000", Some(node("asked", 7000))),
            ("10.0.0.1", None),
            ("h:x", None),
        ] {
            assert_eq!(Node::read(text, "asked"), expected, "{text}");
        }
    }

    #[test]
    fn who_is_in_touch_with_most_and_heard_of_the_latest_change_is_believed() {
        let sight = |state: &str, epoch: u64, owner: &str| {
            let info = format!("cluster_state:{state}\r\ncluster_current_epoch:{epoch}\r\n");
            let slots = Value::Array(vec![range(0, 16_383, vec![told(owner, 1)])]);
            Sight::read(&info, &slots, "asked").unwrap()
        };
        let believed = |sights: Vec<Sight>| freshest(sights).unwrap().owner(1).cloned();
        let cut_off = || sight("fail", 9, "old");
        assert_eq!(
            believed(vec![
                sight("ok", 3, "old"),
                sight("ok", 4, "new"),
                cut_off()
            ]),
            Some(node("new", 1))
        );
        assert_eq!(believed(vec![cut_off()]), Some(node("old", 1)));
        assert!(freshest([]).is_none());
    }
}
