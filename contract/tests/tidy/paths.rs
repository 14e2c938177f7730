//! What a Rust file names of its own crate: modules that it declares, and paths.

/// What stands in a file, as far as paths go.
#[derive(Clone, Copy, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    /// `::`
    Separator,
    Sign(char),
}

/// A path, absolute from the root of its crate.
type Path = Vec<String>;

/// What a file of a module names, outside of its unit tests: those may name who uses the file.
#[derive(Default)]
pub(crate) struct Named {
    /// Modules with a file of their own that this file declares.
    pub(crate) declared: Vec<Path>,
    /// Modules within this file.
    pub(crate) inline: Vec<Path>,
    /// Paths that are written out, with the names that `use` gave replaced by what they stand for.
    pub(crate) paths: Vec<Path>,
    /// Paths behind a `use`, without those that only name a module that the file goes on from.
    pub(crate) uses: Vec<Path>,
}

/// A path as it is written, and the module in which it is.
struct Written<'a> {
    within: Path,
    segments: Vec<&'a str>,
}

/// Reads a file that holds the module `module`.
pub(crate) fn named(text: &str, module: &[String]) -> Named {
    let tokens = tokens(text);
    let mut named = Named::default();
    let mut paths: Vec<Written<'_>> = Vec::new();
    let mut uses: Vec<(Written<'_>, &str)> = Vec::new();
    let mut within = module.to_vec();
    // How deep the braces of each module within the file are.
    let mut inline_depths = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at..] {
            [Token::Word("mod"), Token::Word(name), Token::Sign(';'), ..] => {
                named.declared.push(child(&within, name));
                at += 3;
            }
            [Token::Word("mod"), Token::Word(_), Token::Sign('{'), ..]
                if is_for_tests(&tokens[..at]) =>
            {
                at = end_of_group(&tokens, at + 2);
            }
            [Token::Word("mod"), Token::Word(name), Token::Sign('{'), ..] => {
                within = child(&within, name);
                named.inline.push(within.clone());
                inline_depths.push(depth);
                depth += 1;
                at += 3;
            }
            [Token::Word("use"), Token::Word(_), ..] => {
                at = read_use(&tokens, at + 1, &mut Vec::new(), &mut |segments, name| {
                    let within = within.clone();
                    uses.push((Written { within, segments }, name));
                });
            }
            [Token::Word("in"), Token::Word(_), Token::Separator, ..]
                if at > 0 && tokens[at - 1] == Token::Sign('(') =>
            {
                // A visibility: `pub(in path)`.
                at = end_of_group(&tokens, at - 1);
            }
            [Token::Word(first), Token::Separator, ..] if starts_path(&tokens[..at]) => {
                let mut segments = vec![*first];
                at += 1;
                while let [Token::Separator, Token::Word(next), ..] = &tokens[at..] {
                    segments.push(next);
                    at += 2;
                }
                let within = within.clone();
                paths.push(Written { within, segments });
            }
            [Token::Sign('{'), ..] => {
                depth += 1;
                at += 1;
            }
            [Token::Sign('}'), ..] => {
                depth -= 1;
                if inline_depths.last() == Some(&depth) {
                    inline_depths.pop();
                    within.pop();
                }
                at += 1;
            }
            _ => at += 1,
        }
    }
    resolve(&mut named, &uses, paths);
    named
}

fn child(module: &[String], name: &str) -> Path {
    let mut path = module.to_vec();
    path.push(name.to_owned());
    path
}

/// Whether what follows stands behind `#[cfg(test)]`.
fn is_for_tests(before: &[Token<'_>]) -> bool {
    let attribute = [
        Token::Sign('#'),
        Token::Sign('['),
        Token::Word("cfg"),
        Token::Sign('('),
        Token::Word("test"),
        Token::Sign(')'),
        Token::Sign(']'),
    ];
    before.ends_with(&attribute)
}

fn starts_path(before: &[Token<'_>]) -> bool {
    !matches!(before.last(), Some(Token::Separator | Token::Sign('.')))
}

/// Behind the group that opens at `open`.
fn end_of_group(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Sign('{' | '(' | '[') => depth += 1,
            Token::Sign('}' | ')' | ']') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

/// Reads one tree of a `use`, and tells of each path in it with the name that it gets.
fn read_use<'a>(
    tokens: &[Token<'a>],
    mut at: usize,
    before: &mut Vec<&'a str>,
    found: &mut dyn FnMut(Vec<&'a str>, &'a str),
) -> usize {
    let length = before.len();
    while let Some(token) = tokens.get(at) {
        match token {
            Token::Word("as") => {
                if let Some(Token::Word(name)) = tokens.get(at + 1) {
                    found(before.clone(), name);
                }
                before.truncate(length);
                return at + 2;
            }
            Token::Word(word) => before.push(word),
            Token::Sign('*') => before.push("*"),
            Token::Sign('{') => {
                at += 1;
                while tokens
                    .get(at)
                    .is_some_and(|token| *token != Token::Sign('}'))
                {
                    at = read_use(tokens, at, before, found);
                    if tokens.get(at) == Some(&Token::Sign(',')) {
                        at += 1;
                    }
                }
                before.truncate(length);
                return at + 1;
            }
            Token::Separator => {}
            Token::Sign(_) => break,
        }
        at += 1;
    }
    if before.last() == Some(&"self") && before.len() > 1 {
        before.pop();
    }
    if let Some(name) = before.last() {
        found(before.clone(), name);
    }
    before.truncate(length);
    at
}

/// Makes paths absolute: those from `crate`, `self` and `super`, and those that begin with a
/// module that is declared, or with a name that a `use` gave.
fn resolve(named: &mut Named, uses: &[(Written<'_>, &str)], paths: Vec<Written<'_>>) {
    let known: Vec<Path> = named
        .declared
        .iter()
        .chain(&named.inline)
        .cloned()
        .collect();
    let from_keyword = |written: &Written<'_>| absolute(written, &known);
    for written in paths {
        let first = written.segments[0];
        let renamed = uses
            .iter()
            .filter(|(target, name)| *name == first && target.within == written.within)
            .find_map(|(target, _)| from_keyword(target));
        let path = match renamed {
            Some(mut target) => {
                target.extend(
                    written.segments[1..]
                        .iter()
                        .map(|&segment| segment.to_owned()),
                );
                Some(target)
            }
            None => from_keyword(&written),
        };
        named.paths.extend(path);
    }
    named
        .uses
        .extend(uses.iter().filter_map(|(target, _)| from_keyword(target)));
}

/// The path from the root of the crate; none when it begins with another crate.
fn absolute(written: &Written<'_>, known: &[Path]) -> Option<Path> {
    let mut module = written.within.clone();
    let mut segments = written.segments.as_slice();
    match segments[0] {
        "crate" => {
            module.clear();
            segments = &segments[1..];
        }
        "self" => segments = &segments[1..],
        "super" => {
            while let ["super", rest @ ..] = segments {
                module.pop();
                segments = rest;
            }
        }
        first if known.contains(&child(&module, first)) => {}
        _ => return None,
    }
    module.extend(segments.iter().map(|&segment| segment.to_owned()));
    Some(module)
}

/// The words and signs of a file, without comments and texts.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if next == '"' {
            quoted(rest)
        } else if let Some(length) = raw_text(rest) {
            length
        } else if next == '\'' {
            character(rest)
        } else if next.is_alphanumeric() || next == '_' {
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            found.push(Token::Word(&rest[..length]));
            length
        } else if rest.starts_with("::") {
            found.push(Token::Separator);
            2
        } else {
            if !next.is_whitespace() {
                found.push(Token::Sign(next));
            }
            next.len_utf8()
        };
        rest = &rest[length..];
    }
    found
}

/// The length of a text in quotes.
fn quoted(rest: &str) -> usize {
    let mut is_escaped = false;
    for (index, next) in rest.char_indices().skip(1) {
        match next {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a raw text, such as `r#"…"#`.
fn raw_text(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    if !after[hashes..].starts_with('"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let start = rest.len() - after.len() + hashes + 1;
    Some(
        rest[start..]
            .find(&end)
            .map_or(rest.len(), |at| start + at + end.len()),
    )
}

/// The length of a character in quotes, or of the quote of a lifetime.
fn character(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let start = at + escaped.len_utf8();
            rest[start..]
                .find('\'')
                .map_or(rest.len(), |end| start + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

#[test]
fn paths_are_found_as_the_compiler_sees_them() {
    let code = r#"
        //! Not [`crate::doc::Link`].
        mod below;
        use crate::a::{self, b::{C, D as E}, f as g};
        use super::{Parent, *};
        use other_crate::h;
        pub(in crate::hidden) fn call(c: char) -> impl Sized + use<'_> {
            let text = "crate::text::t";
            if c == '"' || c == '\'' { below::run(text); }
            a::inner::go();
            g::x();
            self::own();
            other_crate::y();
            value.method::<super::super::Top>()
        }
        mod inline {
            use super::own;
            fn f() { super::below::run(); }
        }
        #[cfg(test)]
        mod tests {
            use crate::tested::T;
        }
    "#;
    let joined = |paths: &[Path]| paths.iter().map(|path| path.join("::")).collect::<Vec<_>>();
    let named = named(code, &["m".to_owned(), "n".to_owned()]);
    assert_eq!(joined(&named.declared), ["m::n::below"]);
    assert_eq!(joined(&named.inline), ["m::n::inline"]);
    assert_eq!(
        joined(&named.uses),
        [
            "a",
            "a::b::C",
            "a::b::D",
            "a::f",
            "m::Parent",
            "m::*",
            "m::n::own"
        ]
    );
    assert_eq!(
        joined(&named.paths),
        [
            "m::n::below::run",
            "a::inner::go",
            "a::f::x",
            "m::n::own",
            "Top",
            "m::n::below::run"
        ]
    );
}
