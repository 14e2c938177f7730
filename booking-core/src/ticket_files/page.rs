//! One page of a PDF: where things stand on the paper, and what screen readers make of it. Black on
//! white, for any printer.

use std::num::NonZeroU16;

use krilla::color::luma;
use krilla::geom::{PathBuilder, Rect};
use krilla::paint::{Fill, Stroke};
use krilla::surface::Surface;
use krilla::tagging::{
    Artifact, ArtifactType, ContentTag, Identifier, Node, SpanTag, Tag, TagGroup, TagKind,
};

use super::line::{Line, Style, Typesetter};
use crate::ticket_fonts::Weight;

/// A4, in points. On US Letter the foot of the page is scaled a little or stays within the margin.
pub(super) const PAGE_WIDTH: f32 = 595.28;
pub(super) const PAGE_HEIGHT: f32 = 841.89;
pub(super) const MARGIN: f32 = 56.0;
pub(super) const TEXT_WIDTH: f32 = PAGE_WIDTH - 2.0 * MARGIN;

/// Distance of baselines, in font sizes. Enough for the marks of Devanagari.
const LEADING: f32 = 1.4;
/// From the top of a line to its baseline, in font sizes.
const ASCENT: f32 = 1.05;
const RULE_WIDTH: f32 = 0.75;

pub(super) const fn regular(size: f32) -> Style {
    Style {
        weight: Weight::Regular,
        size,
    }
}

pub(super) const fn bold(size: f32) -> Style {
    Style {
        weight: Weight::Bold,
        size,
    }
}

/// Lines of one style.
pub(super) struct Block {
    lines: Vec<Line>,
    style: Style,
}

/// A part of the page that leads to an address.
pub(super) struct Link {
    pub(super) area: Rect,
    pub(super) to: String,
    /// The lines that are the link, for screen readers.
    pub(super) lines: Vec<Node>,
}

impl Block {
    /// `text` in the first style in which it fits into so many lines; cut in the last.
    pub(super) fn fitted(
        typesetter: &Typesetter<'_>,
        text: &str,
        styles: &[(Style, usize)],
        width: f32,
    ) -> Self {
        let mut lines = Vec::new();
        let mut chosen = regular(1.0);
        for (style, lines_max) in styles {
            chosen = *style;
            lines = typesetter.lines(text, *style, width, lines_max + 1);
            if lines.len() <= *lines_max {
                return Self {
                    lines,
                    style: *style,
                };
            }
            lines = typesetter.lines(text, *style, width, *lines_max);
        }
        Self {
            lines,
            style: chosen,
        }
    }

    /// `text` in at most so many lines.
    pub(super) fn new(
        typesetter: &Typesetter<'_>,
        text: &str,
        style: Style,
        width: f32,
        lines_max: usize,
    ) -> Self {
        Self {
            lines: typesetter.lines(text, style, width, lines_max),
            style,
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.lines.iter().all(|line| line.is_complete)
    }

    fn line_height(&self) -> f32 {
        self.style.size * LEADING
    }

    pub(super) fn height(&self) -> f32 {
        self.lines.iter().map(|_| self.line_height()).sum()
    }
}

/// Draws blocks from the top of a page downwards.
pub(super) struct Pen<'a, 'b> {
    surface: &'a mut Surface<'b>,
    /// The top of what comes next.
    pub(super) y: f32,
    pub(super) links: Vec<Link>,
    /// What was drawn, in the order in which screen readers read it.
    pub(super) read: Vec<TagGroup>,
}

impl<'a, 'b> Pen<'a, 'b> {
    pub(super) fn new(surface: &'a mut Surface<'b>) -> Self {
        surface.set_fill(Some(black()));
        Self {
            surface,
            y: MARGIN,
            links: Vec::new(),
            read: Vec::new(),
        }
    }

    pub(super) fn gap(&mut self, points: f32) {
        self.y += points;
    }

    /// Draws `block` at `x`; lines from right to left end at `x + width`.
    pub(super) fn block(&mut self, block: &Block, x: f32, width: f32) {
        self.block_as(Tag::P, block, x, width);
    }

    /// Draws `block` as what the page is about.
    pub(super) fn heading(&mut self, block: &Block, x: f32, width: f32) {
        self.block_as(Tag::Hn(NonZeroU16::MIN, None), block, x, width);
    }

    fn block_as(&mut self, tag: impl Into<TagKind>, block: &Block, x: f32, width: f32) {
        let lines = self.lines(block, x, width);
        if !lines.is_empty() {
            self.read.push(TagGroup::with_children(tag, lines));
        }
    }

    fn lines(&mut self, block: &Block, x: f32, width: f32) -> Vec<Node> {
        let mut drawn = Vec::new();
        for line in &block.lines {
            let x = if line.is_rtl {
                x + width - line.width
            } else {
                x
            };
            let y = self.y + block.style.size * ASCENT;
            drawn.push(Node::Leaf(self.line(line, x, y)));
            self.y += block.line_height();
        }
        drawn
    }

    fn line(&mut self, line: &Line, x: f32, y: f32) -> Identifier {
        let drawn = self
            .surface
            .start_tagged(ContentTag::Span(SpanTag::empty()));
        line.draw(self.surface, x, y);
        self.surface.end_tagged();
        drawn
    }

    /// Draws `block` with its lines ending at `x`, without moving on.
    pub(super) fn block_ending_at(&mut self, block: &Block, x: f32) {
        let mut y = self.y + block.style.size * ASCENT;
        let mut drawn = Vec::new();
        for line in &block.lines {
            drawn.push(Node::Leaf(self.line(line, x - line.width, y)));
            y += block.line_height();
        }
        self.read.push(TagGroup::with_children(Tag::P, drawn));
    }

    /// Draws `block` as a link.
    pub(super) fn link(&mut self, block: &Block, x: f32, to: &str) {
        let (top, height) = (self.y, block.height());
        let width = block
            .lines
            .iter()
            .fold(0.0, |width: f32, line| width.max(line.width));
        let lines = self.lines(block, x, width);
        match Rect::from_xywh(x, top, width, height) {
            Some(area) => self.links.push(Link {
                area,
                to: to.to_owned(),
                lines,
            }),
            None => self.read.push(TagGroup::with_children(Tag::P, lines)),
        }
    }

    /// A line across the page.
    pub(super) fn rule(&mut self) {
        if let Some(bar) = Rect::from_xywh(MARGIN, self.y, TEXT_WIDTH, RULE_WIDTH) {
            self.start_ornament();
            self.fill([bar]);
            self.surface.end_tagged();
        }
    }

    /// What screen readers leave out begins.
    fn start_ornament(&mut self) {
        let ornament = Artifact::with_kind(ArtifactType::Layout);
        let _ornament = self.surface.start_tagged(ContentTag::Artifact(ornament));
    }

    /// A picture of filled areas, which is read as `told`.
    pub(super) fn picture(&mut self, areas: impl IntoIterator<Item = Rect>, told: &str) {
        let drawn = self.surface.start_tagged(ContentTag::Other);
        self.fill(areas);
        self.surface.end_tagged();
        let tag = Tag::Figure(Some(told.to_owned()));
        self.read
            .push(TagGroup::with_children(tag, vec![Node::Leaf(drawn)]));
    }

    /// A frame of `height` around what is drawn next.
    pub(super) fn frame(&mut self, x: f32, width: f32, height: f32) {
        let Some(area) = Rect::from_xywh(x, self.y, width, height) else {
            return;
        };
        let mut path = PathBuilder::new();
        path.push_rect(area);
        let Some(path) = path.finish() else { return };
        self.surface.set_fill(None);
        self.surface.set_stroke(Some(Stroke {
            paint: luma::Color::black().into(),
            width: 2.0 * RULE_WIDTH,
            ..Stroke::default()
        }));
        self.start_ornament();
        self.surface.draw_path(&path);
        self.surface.end_tagged();
        self.surface.set_stroke(None);
        self.surface.set_fill(Some(black()));
    }

    /// Fills all of `areas` as one shape, so that no seams show between those that touch.
    fn fill(&mut self, areas: impl IntoIterator<Item = Rect>) {
        let mut path = PathBuilder::new();
        for area in areas {
            path.push_rect(area);
        }
        if let Some(path) = path.finish() {
            self.surface.draw_path(&path);
        }
    }
}

fn black() -> Fill {
    Fill {
        paint: luma::Color::black().into(),
        ..Fill::default()
    }
}
