//! Lines of text on a ticket: which font has a letter, in which direction it runs, and where a
//! line ends.

use std::ops::Range;

use harfrust::{Direction, FontRef, ShapeOptions, Shaper, UnicodeBuffer};
use krilla::geom::Point;
use krilla::surface::Surface;
use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::MetadataProvider;
use skrifa::charmap::Charmap;
use unicode_bidi::{BidiInfo, Level};

use crate::ticket_fonts::{TicketFonts, UnreadableFont, Weight};

/// What a text that was cut ends with.
const ELLIPSIS: &str = "…";

/// How letters look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Style {
    pub(super) weight: Weight,
    /// In points.
    pub(super) size: f32,
}

/// Turns texts into lines.
pub(super) struct Typesetter<'a> {
    faces: Vec<Face<'a>>,
}

/// A font, ready for use.
struct Face<'a> {
    charmap: Charmap<'a>,
    shaper: Shaper<'a>,
    font: &'a Font,
    weight: Weight,
}

/// A line, with its parts from left to right.
pub(super) struct Line {
    parts: Vec<Part>,
    size: f32,
    /// In points.
    pub(super) width: f32,
    /// Whether the paragraph runs from right to left.
    pub(super) is_rtl: bool,
    /// Whether there was a font for every letter.
    pub(super) is_complete: bool,
}

/// Neighbouring letters of one font and direction.
struct Part {
    text: String,
    font: Font,
    glyphs: Vec<KrillaGlyph>,
    /// For a font size of one.
    width: f32,
}

impl<'a> Typesetter<'a> {
    pub(super) fn new(fonts: &'a TicketFonts) -> Result<Self, UnreadableFont> {
        let face = |font: &'a crate::ticket_fonts::TicketFont| {
            let read: FontRef<'a> = font.font_ref()?;
            Ok(Face {
                charmap: read.charmap(),
                shaper: font.shaping.shaper(&read).build(),
                font: &font.font,
                weight: font.weight,
            })
        };
        let faces: Result<_, UnreadableFont> = fonts.all().iter().map(face).collect();
        Ok(Self { faces: faces? })
    }

    /// `text` in at most `lines_max` lines of at most `width` points. What does not fit is cut.
    pub(super) fn lines(
        &self,
        text: &str,
        style: Style,
        width: f32,
        lines_max: usize,
    ) -> Vec<Line> {
        let text = &one_line(text);
        let base = base_level(text);
        let ranges = self.wrapped(text, style, width, base);
        let shown = ranges.iter().take(lines_max);
        let mut lines: Vec<Line> = shown
            .map(|range| self.line(&text[range.clone()], style, base))
            .collect();
        if ranges.len() > lines_max
            && let Some(last) = ranges.get(lines_max.saturating_sub(1))
        {
            lines.pop();
            lines.push(self.cut(&text[last.clone()], style, width, base));
        }
        lines
    }

    /// `text` shortened until it fits with an ellipsis.
    fn cut(&self, text: &str, style: Style, width: f32, base: Level) -> Line {
        let mut kept = text.to_owned();
        loop {
            let line = self.line(&format!("{}{ELLIPSIS}", kept.trim_end()), style, base);
            if line.width <= width || kept.pop().is_none() {
                return line;
            }
        }
    }

    /// The ranges of `text` that make a line each.
    fn wrapped(&self, text: &str, style: Style, width: f32, base: Level) -> Vec<Range<usize>> {
        let advances = self.advances(text, style, base);
        let mut ranges = Vec::new();
        let (mut start, mut used, mut last_break) = (0, 0.0, None);
        let mut at = 0;
        while let Some((offset, advance)) = advances.get(at) {
            let letter = text[*offset..].chars().next().unwrap_or(' ');
            if *offset > start && breaks_before(text, *offset, letter) {
                last_break = Some((*offset, at));
            }
            // Spaces at the end of a line take no room.
            if used + advance > width && *offset > start && !letter.is_whitespace() {
                let (end, next) = last_break.take().unwrap_or((*offset, at));
                ranges.push(trimmed(text, start..end));
                (start, used, at) = (end, 0.0, next);
                continue;
            }
            used += advance;
            at += 1;
        }
        ranges.push(trimmed(text, start..text.len()));
        ranges.retain(|range| !range.is_empty());
        ranges
    }

    /// Where each cluster of `text` begins, and how wide it is, in the order of reading.
    fn advances(&self, text: &str, style: Style, base: Level) -> Vec<(usize, f32)> {
        let mut advances: Vec<(usize, f32)> = Vec::new();
        for (range, _, part) in self.parts(text, style.weight, base) {
            for glyph in &part.glyphs {
                let offset = range.start + glyph.text_range.start;
                advances.push((offset, glyph.x_advance * style.size));
            }
        }
        advances.sort_by_key(|(offset, _)| *offset);
        advances.dedup_by(|next, first| {
            let same = next.0 == first.0;
            if same {
                first.1 += next.1;
            }
            same
        });
        advances
    }

    fn line(&self, text: &str, style: Style, base: Level) -> Line {
        let parts = self.parts(text, style.weight, base);
        let is_complete = parts.iter().all(|(_, complete, _)| *complete);
        let parts: Vec<Part> = parts.into_iter().map(|(_, _, part)| part).collect();
        Line {
            width: parts.iter().map(|part| part.width).sum::<f32>() * style.size,
            parts,
            size: style.size,
            is_rtl: base.is_rtl(),
            is_complete,
        }
    }

    /// The parts of `text` from left to right: where each is, whether its font has all its letters,
    /// and its glyphs.
    fn parts(&self, text: &str, weight: Weight, base: Level) -> Vec<(Range<usize>, bool, Part)> {
        let bidi = BidiInfo::new(text, Some(base));
        let Some(paragraph) = bidi.paragraphs.first() else {
            return Vec::new();
        };
        let (levels, runs) = bidi.visual_runs(paragraph, paragraph.range.clone());
        let mut parts = Vec::new();
        for run in runs {
            let is_rtl = levels[run.start].is_rtl();
            let mut pieces = self.by_font(text, run, weight);
            if is_rtl {
                pieces.reverse();
            }
            parts.extend(pieces.into_iter().map(|(range, face, complete)| {
                let part = self.faces[face].shaped(&text[range.clone()], is_rtl);
                (range, complete, part)
            }));
        }
        parts
    }

    /// `range` of `text` in pieces of one font, in the order of reading, and whether that font has
    /// all letters of the piece.
    fn by_font(
        &self,
        text: &str,
        range: Range<usize>,
        weight: Weight,
    ) -> Vec<(Range<usize>, usize, bool)> {
        let mut pieces: Vec<(Range<usize>, usize, bool)> = Vec::new();
        for (offset, letter) in text[range.clone()].char_indices() {
            let start = range.start + offset;
            let end = start + letter.len_utf8();
            let before = pieces.last().map(|(_, face, _)| *face);
            let (face, found) = self.face_for(letter, weight, before);
            match pieces.last_mut() {
                Some((piece, same, complete)) if *same == face => {
                    piece.end = end;
                    *complete &= found;
                }
                _ => pieces.push((start..end, face, found)),
            }
        }
        pieces
    }

    /// The font for `letter` after a letter in the font `before`, and whether it has the letter. A
    /// letter that no font has is printed as the box of the first.
    fn face_for(&self, letter: char, weight: Weight, before: Option<usize>) -> (usize, bool) {
        let has = |face: usize| self.faces[face].charmap.map(letter).is_some();
        if let Some(before) = before {
            // Marks and joiners belong to the letter before them, and digits, spaces and
            // punctuation look best in the font of their neighbours.
            if is_shapeless(letter) || (!letter.is_alphabetic() && has(before)) {
                return (before, true);
            }
        }
        let preferred = (0..self.faces.len()).filter(|face| self.faces[*face].weight == weight);
        let mut all = preferred.chain(0..self.faces.len());
        match all.find(|face| has(*face)) {
            Some(face) => (face, true),
            None => (0, is_shapeless(letter)),
        }
    }
}

impl Face<'_> {
    fn shaped(&self, text: &str, is_rtl: bool) -> Part {
        let mut buffer = UnicodeBuffer::new();
        buffer.push_str(text);
        buffer.set_direction(if is_rtl {
            Direction::RightToLeft
        } else {
            Direction::LeftToRight
        });
        buffer.guess_segment_properties();
        let shaped = self.shaper.shape(buffer, ShapeOptions::default());
        let offset = |cluster: u32| usize::try_from(cluster).unwrap_or(0);
        let mut starts: Vec<usize> = shaped
            .glyph_infos()
            .iter()
            .map(|info| offset(info.cluster))
            .collect();
        starts.sort_unstable();
        let end_of = |start: usize| {
            let next = starts.partition_point(|other| *other <= start);
            starts.get(next).copied().unwrap_or(text.len())
        };
        let unit = self.font.units_per_em();
        let em = |units: i32| units_as_f32(units) / unit;
        let glyphs: Vec<KrillaGlyph> = shaped
            .glyph_infos()
            .iter()
            .zip(shaped.glyph_positions())
            .map(|(info, position)| {
                let start = offset(info.cluster);
                KrillaGlyph::new(
                    GlyphId::new(info.glyph_id),
                    em(position.x_advance),
                    em(position.x_offset),
                    em(position.y_offset),
                    em(position.y_advance),
                    start..end_of(start),
                    None,
                )
            })
            .collect();
        Part {
            width: glyphs.iter().map(|glyph| glyph.x_advance).sum(),
            text: text.to_owned(),
            font: self.font.clone(),
            glyphs,
        }
    }
}

impl Line {
    /// Draws the line with its left end at `x` and its baseline at `y`.
    pub(super) fn draw(&self, surface: &mut Surface<'_>, x: f32, y: f32) {
        let mut x = x;
        for part in &self.parts {
            let start = Point::from_xy(x, y);
            let font = part.font.clone();
            surface.draw_glyphs(start, &part.glyphs, font, &part.text, self.size, false);
            x += part.width * self.size;
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "lengths in a font have far fewer than 24 bits"
)]
fn units_as_f32(units: i32) -> f32 {
    units as f32
}

/// `text` without line breaks and control characters.
fn one_line(text: &str) -> String {
    let is_break = |letter: char| {
        letter.is_control() || letter.is_whitespace() || matches!(letter, '\u{2028}' | '\u{2029}')
    };
    let words = text.split(is_break).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// The direction of `text`: that of its first letter with one.
fn base_level(text: &str) -> Level {
    let bidi = BidiInfo::new(text, None);
    bidi.paragraphs
        .first()
        .map_or(Level::ltr(), |paragraph| paragraph.level)
}

/// Whether a line may end before the letter at `offset`: after a space, and around letters of
/// scripts that have no spaces between words, unless it is punctuation that closes.
fn breaks_before(text: &str, offset: usize, letter: char) -> bool {
    let before = text[..offset].chars().next_back().unwrap_or(' ');
    if before.is_whitespace() {
        return true;
    }
    let closes = "、。，．・：；？！）」』】〉》〕ー々゛゜…".contains(letter);
    let opens = "（「『【〈《〔".contains(before);
    !closes && !opens && (is_ideographic(letter) || is_ideographic(before))
}

/// Han, Hiragana, Katakana, Hangul, and their full-width forms.
fn is_ideographic(letter: char) -> bool {
    matches!(
        letter,
        '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}'
            | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3fffd}'
    )
}

/// Characters that change their neighbours and are not seen themselves.
fn is_shapeless(letter: char) -> bool {
    matches!(
        letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// `range` without the spaces at its ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let inside = &text[range.clone()];
    let start = range.start + (inside.len() - inside.trim_start().len());
    let end = range.end - (inside.len() - inside.trim_end().len());
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STYLE: Style = Style {
        weight: Weight::Regular,
        size: 10.0,
    };

    /// The texts of the parts of each line, and whether a letter is missing.
    fn set(text: &str, width: f32, lines_max: usize) -> (Vec<Vec<String>>, bool) {
        let fonts = TicketFonts::default();
        let typesetter = Typesetter::new(&fonts).unwrap();
        let lines = typesetter.lines(text, STYLE, width, lines_max);
        for line in &lines {
            // Letters at the end of a line may be a little wider than within a word.
            let most = width + STYLE.size;
            assert!(line.width <= most, "{} > {width}", line.width);
        }
        let missing = lines.iter().any(|line| !line.is_complete);
        let parts = |line: Line| line.parts.into_iter().map(|part| part.text).collect();
        (lines.into_iter().map(parts).collect(), missing)
    }

    #[test]
    fn lines_end_between_words_and_what_does_not_fit_is_cut() {
        let (lines, _) = set("The quick brown fox jumps over it", 60.0, 9);
        let joined: Vec<String> = lines.iter().map(|parts| parts.concat()).collect();
        assert_eq!(joined.join(" "), "The quick brown fox jumps over it");
        assert!(joined.len() > 2);
        let (lines, _) = set("The quick brown fox jumps over it", 60.0, 2);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].concat().ends_with('…'), "{lines:?}");
        let (lines, _) = set(&"x".repeat(50), 60.0, 99);
        assert_eq!(lines.concat().concat(), "x".repeat(50));
    }

    #[test]
    fn each_letter_is_in_a_font_that_has_it() {
        let (lines, missing) = set("Eras नमस्ते 12", 400.0, 1);
        assert_eq!(lines, [["Eras ", "नमस्ते 12"]]);
        assert!(!missing);
        assert!(set("東京", 400.0, 1).1);
        // Joiners and variation selectors are not seen, so nothing is missing without them.
        assert!(!set("a\u{200d}\u{fe0f}b", 400.0, 1).1);
    }

    #[test]
    fn text_from_right_to_left_is_laid_out_so() {
        let fonts = TicketFonts::default();
        let typesetter = Typesetter::new(&fonts).unwrap();
        let lines = typesetter.lines("שלום 12 abc", STYLE, 400.0, 1);
        assert!(lines[0].is_rtl);
        let texts: Vec<&str> = lines[0]
            .parts
            .iter()
            .map(|part| part.text.as_str())
            .collect();
        assert_eq!(texts.first().copied(), Some("abc"));
    }

    proptest! {
        #[test]
        fn any_text_is_set_within_its_width(text in ".{0,120}", width in 40.0_f32..400.0) {
            let (lines, _) = set(&text, width, 3);
            prop_assert!(lines.len() <= 3);
        }
    }
}
