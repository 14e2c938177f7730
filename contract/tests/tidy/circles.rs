//! Files of a crate that need each other in a circle can only be understood together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::paths::{Named, named};
use crate::repository::{File, assert_none, files};

/// Which file of a crate names what is in which other.
type Graph<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// The files of one crate, by the module that each holds, with what it names.
struct Crate<'a> {
    modules: BTreeMap<Vec<String>, &'a str>,
    named: Vec<(&'a str, Named)>,
}

/// Whether a compilation starts at this file: a library, a program, a test, an example.
fn is_root(path: &str) -> bool {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let is_alone = ["/src/bin", "/tests", "/examples"]
        .iter()
        .any(|ending| directory.ends_with(ending));
    let is_rust = std::path::Path::new(name)
        .extension()
        .is_some_and(|it| it == "rs");
    is_rust && (is_alone || name == "lib.rs" || name == "main.rs")
}

impl<'a> Crate<'a> {
    /// Follows the declarations of modules from the file where the crate starts.
    fn read(files: &'a [File], root: &'a File) -> Self {
        let mut modules = BTreeMap::new();
        let mut read = Vec::new();
        let mut open = vec![(Vec::new(), root)];
        while let Some((module, file)) = open.pop() {
            let found = named(&file.text, &module);
            modules.insert(module.clone(), file.path.as_str());
            for inline in &found.inline {
                modules.insert(inline.clone(), file.path.as_str());
            }
            for declared in &found.declared {
                let below = file_of(files, &root.path, declared);
                open.extend(below.map(|below| (declared.clone(), below)));
            }
            read.push((file.path.as_str(), found));
        }
        Self {
            modules,
            named: read,
        }
    }

    fn graph(&self) -> Graph<'a> {
        let mut graph = Graph::new();
        for (path, named) in &self.named {
            let used = named.uses.iter().filter(|path| !self.is_module(path));
            let targets: BTreeSet<_> = used
                .chain(&named.paths)
                .filter_map(|target| self.holder(target))
                .filter(|target| target != path)
                .collect();
            graph.insert(path, targets);
        }
        graph
    }

    fn is_module(&self, path: &[String]) -> bool {
        self.modules.contains_key(path)
    }

    /// The file in which something is: that of the innermost module on the way to it.
    fn holder(&self, path: &[String]) -> Option<&'a str> {
        let mut ways = (0..=path.len()).rev().map(|length| &path[..length]);
        ways.find_map(|way| self.modules.get(way)).copied()
    }
}

fn file_of<'a>(files: &'a [File], root: &str, module: &[String]) -> Option<&'a File> {
    let (directory, _) = root.rsplit_once('/').unwrap_or(("", root));
    let path = format!("{directory}/{}", module.join("/"));
    let places = [format!("{path}.rs"), format!("{path}/mod.rs")];
    files.iter().find(|file| places.contains(&file.path))
}

/// For each file in a circle a shortest one, told from its first file in the order of names.
fn circles(graph: &Graph<'_>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for start in graph.keys() {
        if let Some(mut circle) = shortest_circle(graph, start) {
            let first = (0..circle.len()).min_by_key(|&index| circle[index]);
            circle.rotate_left(first.unwrap_or(0));
            circle.push(circle[0]);
            found.insert(circle.join(" -> "));
        }
    }
    found
}

fn shortest_circle<'a>(graph: &Graph<'a>, start: &'a str) -> Option<Vec<&'a str>> {
    let mut came_from: BTreeMap<&str, &'a str> = BTreeMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(at) = open.pop_front() {
        for &next in graph.get(at).into_iter().flatten() {
            if next == start {
                let mut circle = vec![at];
                while let Some(before) = came_from.get(circle[circle.len() - 1]) {
                    circle.push(before);
                }
                circle.reverse();
                return Some(circle);
            }
            if !came_from.contains_key(next) {
                came_from.insert(next, at);
                open.push_back(next);
            }
        }
    }
    None
}

#[test]
fn no_files_need_each_other_in_a_circle() {
    let files = files();
    let roots: Vec<_> = files.iter().filter(|file| is_root(&file.path)).collect();
    assert!(roots.len() > 20, "the crates were not found");
    let graphs = roots.iter().map(|root| Crate::read(&files, root).graph());
    let complaints: BTreeSet<_> = graphs.flat_map(|graph| circles(&graph)).collect();
    assert_none(&complaints.into_iter().collect::<Vec<_>>());
}

/// The part of a crate, just below its root, to which a file belongs.
fn part_of<'a>(path: &'a str, source: &str) -> &'a str {
    let below = path.strip_prefix(source).unwrap_or(path);
    let end = below.find(['/', '.']).unwrap_or(below.len());
    &below[..end]
}

/// Who knows the part `low` although it is known by it.
fn known_by_what_they_know(graph: &Graph<'_>, source: &str, low: &str) -> Vec<String> {
    let mut edges = BTreeSet::new();
    for (path, targets) in graph {
        let ends = |target| (part_of(path, source), part_of(target, source));
        edges.extend(targets.iter().map(|target| ends(target)));
    }
    let known = edges.iter().filter(|(part, _)| *part == low);
    known
        .map(|(_, known)| known)
        .filter(|known| **known != low && edges.contains(&(*known, low)))
        .map(|known| format!("{source}{low} knows {known}, which knows {low}"))
        .collect()
}

#[test]
fn the_booking_core_is_in_layers() {
    let files = files();
    let source = "booking-core/src/";
    let root = files
        .iter()
        .find(|file| file.path == format!("{source}lib.rs"));
    let graph = Crate::read(&files, root.expect("there is a booking core")).graph();
    let mut complaints = known_by_what_they_know(&graph, source, "store");
    for (path, targets) in &graph {
        let is_below = part_of(path, source) != "lib";
        if is_below
            && targets
                .iter()
                .any(|target| part_of(target, source) == "app")
        {
            complaints.push(format!("{path}: is put together by app.rs, and knows it"));
        }
    }
    assert_none(&complaints);
    let two_ways = Graph::from([
        ("x/store/a.rs", BTreeSet::from(["x/b/mod.rs"])),
        ("x/b/c.rs", BTreeSet::from(["x/store/d.rs"])),
        ("x/e.rs", BTreeSet::from(["x/store/d.rs"])),
    ]);
    assert_eq!(
        known_by_what_they_know(&two_ways, "x/", "store"),
        ["x/store knows b, which knows store"]
    );
}

#[test]
fn a_circle_is_told_with_its_files() {
    let file = |path: &str, text: &str| File {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let complaints = |below: &str| {
        let files = [
            file("x/src/lib.rs", "mod a; mod b; pub use a::A;"),
            file(
                "x/src/a/mod.rs",
                "mod below; use crate::b::B; fn f() { below::f(); }",
            ),
            file("x/src/a/below.rs", below),
            file("x/src/b.rs", "pub struct B;"),
        ];
        let graph = Crate::read(&files, &files[0]).graph();
        circles(&graph).into_iter().collect::<Vec<_>>()
    };
    assert!(complaints("use crate::b; fn f() { b::B; }").is_empty());
    assert!(complaints("#[cfg(test)] mod tests { use crate::a::A; }").is_empty());
    assert_eq!(
        complaints("use super::A;"),
        ["x/src/a/below.rs -> x/src/a/mod.rs -> x/src/a/below.rs"]
    );
    assert_eq!(
        complaints("fn f() { crate::own(); }"),
        ["x/src/a/below.rs -> x/src/lib.rs -> x/src/a/mod.rs -> x/src/a/below.rs"]
    );
}
