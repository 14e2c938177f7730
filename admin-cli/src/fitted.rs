//! Tables in the width of a terminal, with no word broken: ids and paths are copied from them.

use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table, Width};

/// Columns between two cells, which the table puts around each.
const PADDING: usize = 2;
/// A table of so many columns names what is beside it. It stays a table in any width, and the
/// terminal breaks a line that is too long, which can be copied.
const PAIRED: usize = 2;

/// The table as text, within `width` columns where that is known: cells are broken between words,
/// and where the longest words do not fit beside each other, every row becomes a block of lines.
pub(crate) fn text(mut table: Table, width: Option<u16>) -> String {
    let Some(width) = width else {
        return table.trim_fmt();
    };
    let longest = longest_words(&table);
    let needed: usize = longest.iter().map(|word| word + PADDING).sum();
    if needed > usize::from(width) && longest.len() > PAIRED {
        return blocks(&table);
    }
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width);
    table.set_constraints(longest.into_iter().map(|word| {
        let least = u16::try_from(word + PADDING).unwrap_or(u16::MAX);
        ColumnConstraint::LowerBoundary(Width::Fixed(least))
    }));
    table.trim_fmt()
}

/// The length of the longest word in each column, its title among them.
fn longest_words(table: &Table) -> Vec<usize> {
    let mut longest = Vec::new();
    for row in table.header().into_iter().chain(table.row_iter()) {
        for (at, cell) in row.cell_iter().enumerate() {
            let content = cell.content();
            let words = content.split_whitespace().map(|word| word.chars().count());
            let word = words.max().unwrap_or(0);
            match longest.get_mut(at) {
                Some(known) => *known = word.max(*known),
                None => longest.push(word),
            }
        }
    }
    longest
}

/// Every row as a block: its first cell, and below it the others beside their titles.
fn blocks(table: &Table) -> String {
    let titles: Vec<String> = table.header().map(cells).unwrap_or_default();
    let widest = titles.iter().map(|title| title.chars().count()).max();
    let widest = widest.unwrap_or(0);
    let rows = table.row_iter().map(|row| {
        let mut cells = cells(row).into_iter();
        let mut block = cells.next().unwrap_or_default();
        for (title, cell) in titles.iter().skip(1).zip(cells) {
            let mut title = title.as_str();
            for line in cell.lines() {
                let line = format!("\n  {title:<widest$}  {line}");
                block.push_str(line.trim_end());
                title = "";
            }
        }
        block
    });
    rows.collect::<Vec<_>>().join("\n\n")
}

fn cells(row: &Row) -> Vec<String> {
    row.cell_iter().map(comfy_table::Cell::content).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::table_of;

    const PATH: &str = "/api/v1/shows/the-eras-tour-mumbai-1/holds";

    fn rooms(paths: &str) -> Table {
        let mut table = table_of(&["room", "phase", "opens", "upstream", "paths"]);
        table.add_row([
            "the-eras-tour-mumbai",
            "queueing",
            "2026-11-22 10:00:00 UTC (in 10 min)",
            "embedded",
            paths,
        ]);
        table.force_no_tty();
        table
    }

    #[test]
    fn no_word_is_broken_at_the_width_of_a_terminal() {
        for (paths, width) in [
            (PATH, 80),
            (PATH, 100),
            (PATH, 120),
            (PATH, 40),
            ("/buy", 80),
            ("/buy", 60),
        ] {
            let text = text(rooms(paths), Some(width));
            for word in [paths, "the-eras-tour-mumbai", "2026-11-22", "embedded"] {
                assert!(text.contains(word), "{word} is broken at {width}:\n{text}");
            }
        }
    }

    #[test]
    fn what_fits_between_words_stays_a_table_within_the_width() {
        let text = text(rooms("/buy"), Some(80));
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        let head = text.lines().find(|line| line.contains("room")).unwrap();
        assert!(
            head.contains("upstream") && head.contains("paths"),
            "{text}"
        );
    }

    #[test]
    fn what_does_not_fit_becomes_a_block_a_row() {
        let mut table = rooms(&format!("{PATH}\n/pay"));
        table.add_row(["b", "idle", "by command", "embedded", ""]);
        let expected = format!(
            "the-eras-tour-mumbai\n  phase     queueing\n  opens     2026-11-22 10:00:00 UTC (in 10 \
             min)\n  upstream  embedded\n  paths     {PATH}\n            /pay\n\nb\n  phase     \
             idle\n  opens     by command\n  upstream  embedded"
        );
        assert_eq!(text(table, Some(60)), expected);
    }

    #[test]
    fn a_table_of_settings_stays_one() {
        let mut table = table_of(&["setting", "value"]);
        let hash = "ab".repeat(32);
        table.add_row(["draw commitment", &hash]);
        table.force_no_tty();
        let text = text(table, Some(60));
        assert!(text.contains("setting") && text.contains(&hash), "{text}");
    }

    #[test]
    fn without_a_terminal_nothing_is_broken_at_all() {
        let text = text(rooms(PATH), None);
        assert!(
            text.contains("2026-11-22 10:00:00 UTC (in 10 min)"),
            "{text}"
        );
    }
}
