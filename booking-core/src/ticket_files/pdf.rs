//! The tickets of a booking as PDF, a page each.

use contract::booking::{BookingStatus, Ticket};
use krilla::Document;
use krilla::action::{Action, LinkAction};
use krilla::annotation::{Annotation, LinkAnnotation, Target};
use krilla::geom::Rect;
use krilla::metadata::Metadata;
use krilla::page::{Page, PageSettings};
use krilla::tagging::{Node, Tag, TagGroup, TagTree};
use pages::map::map_url;
use pages::money::money;
use qrcode::Color;
use qrcode::types::QrError;

use super::booked_show::BookedShow;
use super::line::Typesetter;
use super::page::{Block, Link, MARGIN, PAGE_HEIGHT, PAGE_WIDTH, Pen, TEXT_WIDTH, bold, regular};
use crate::ticket_fonts::{TicketFonts, UnreadableFont};
use crate::tickets::qr_code;

/// Side of a QR code with the white around it, in points: 70 mm, so that a module is more than a
/// millimetre.
const CODE_SIDE: f32 = 198.5;
/// White around a QR code, in modules.
const QUIET_ZONE: usize = 4;
/// Between the code and the text beside it.
const COLUMN_GAP: f32 = 24.0;
/// Height of the foot of a page.
const FOOT_HEIGHT: f32 = 84.0;
/// Of what is written around titles and names.
const LANGUAGE: &str = "en";
/// Shares of the width for section, row and seat.
const SEAT_COLUMNS: [f32; 3] = [0.52, 0.26, 0.22];

/// Why there is no PDF.
#[derive(Debug, thiserror::Error)]
pub(super) enum PdfError {
    #[error(transparent)]
    Font(#[from] UnreadableFont),
    #[error("a ticket makes no QR code: {0}")]
    Code(#[from] QrError),
    /// A font or a text that cannot be written.
    #[error("the PDF cannot be written: {0}")]
    Written(String),
}

/// A PDF.
#[derive(Debug)]
pub(super) struct Rendered {
    pub(super) bytes: Vec<u8>,
    /// Whether there was a font for every letter.
    pub(super) is_complete: bool,
}

/// The PDF of `booked`. A booking without tickets has one page, which says so.
pub(super) fn tickets_pdf(booked: &BookedShow, fonts: &TicketFonts) -> Result<Rendered, PdfError> {
    let typesetter = Typesetter::new(fonts)?;
    let head = Head::new(booked, &typesetter);
    let mut document = Document::new();
    let title = format!("{} · {}", booked.show.title, booked.booking.code);
    document.set_metadata(
        Metadata::new()
            .title(title.replace(char::is_control, " "))
            .language(LANGUAGE.to_owned())
            .creator("Ropeline".to_owned()),
    );
    let tickets: Vec<Option<&Ticket>> = match booked.booking.tickets.as_slice() {
        [] => vec![None],
        tickets => tickets.iter().map(Some).collect(),
    };
    let mut is_complete = true;
    let mut read = TagTree::new().with_lang(Some(LANGUAGE.to_owned()));
    for (index, ticket) in tickets.iter().enumerate() {
        let settings = PageSettings::from_wh(PAGE_WIDTH, PAGE_HEIGHT)
            .ok_or_else(|| PdfError::Written("the page has no size".to_owned()))?;
        let mut page = document.start_page_with(settings);
        let sheet = Sheet {
            booked,
            typesetter: &typesetter,
            head: &head,
            ticket: *ticket,
            index,
            count: tickets.len(),
        };
        let drawn = sheet.draw(&mut page)?;
        is_complete &= drawn.is_complete;
        let mut section = TagGroup::new(Tag::Section);
        section.children = drawn.read.into_iter().map(Node::Group).collect();
        for link in drawn.links {
            section.push(annotated(&mut page, link));
        }
        read.push(section);
        page.finish();
    }
    document.set_tag_tree(read);
    let bytes = document
        .finish()
        .map_err(|error| PdfError::Written(format!("{error:?}")))?;
    Ok(Rendered { bytes, is_complete })
}

/// Adds the link to the page.
fn annotated(page: &mut Page<'_>, link: Link) -> TagGroup {
    let Link { area, to, lines } = link;
    let told = Some(to.clone());
    let target = Target::Action(Action::Link(LinkAction::new(to)));
    let annotation = Annotation::new_link(LinkAnnotation::new(area, target), told);
    let mut group = TagGroup::with_children(Tag::Link, lines);
    group.push(page.add_tagged_annotation(annotation));
    group
}

/// What all pages say alike.
struct Head {
    code: Block,
    title: Block,
    starts: Block,
    venue: Block,
    address: Block,
}

impl Head {
    fn new(booked: &BookedShow, typesetter: &Typesetter<'_>) -> Self {
        let show = &booked.show;
        let lines = |text: &str, style, lines_max| {
            Block::new(typesetter, text, style, TEXT_WIDTH, lines_max)
        };
        let titles = [(bold(26.0), 2), (bold(20.0), 3), (bold(14.0), 7)];
        Self {
            code: lines(
                &format!("Booking code {}", booked.booking.code),
                bold(11.0),
                1,
            ),
            title: Block::fitted(typesetter, &show.title, &titles, TEXT_WIDTH),
            starts: lines(&booked.starts(), bold(14.0), 2),
            venue: lines(&show.venue.name, bold(12.0), 2),
            address: lines(&show.venue.address, regular(11.0), 3),
        }
    }

    fn is_complete(&self) -> bool {
        let all = [&self.title, &self.starts, &self.venue, &self.address];
        all.into_iter().all(Block::is_complete)
    }
}

/// One ticket on its page, or the page of a booking without tickets.
struct Sheet<'a> {
    booked: &'a BookedShow,
    typesetter: &'a Typesetter<'a>,
    head: &'a Head,
    ticket: Option<&'a Ticket>,
    index: usize,
    count: usize,
}

/// What is left to do for a page that was drawn.
struct Drawn {
    links: Vec<Link>,
    read: Vec<TagGroup>,
    /// Whether there was a font for every letter.
    is_complete: bool,
}

impl Sheet<'_> {
    fn draw(&self, page: &mut Page<'_>) -> Result<Drawn, PdfError> {
        let mut surface = page.surface();
        let mut pen = Pen::new(&mut surface);
        self.head(&mut pen);
        let seat_is_complete = self.ticket.is_none_or(|ticket| self.seat(&mut pen, ticket));
        let is_complete = seat_is_complete && self.head.is_complete();
        let objection = self.booked.validity().objection();
        match (
            objection,
            self.ticket.and_then(|ticket| ticket.qr.as_deref()),
        ) {
            (None, Some(text)) => self.code(&mut pen, text)?,
            (objection, _) => {
                let without = "This booking has no tickets.";
                self.objection(&mut pen, objection.unwrap_or(without));
            }
        }
        self.foot(&mut pen, is_complete);
        let drawn = Drawn {
            links: pen.links,
            read: pen.read,
            is_complete,
        };
        surface.finish();
        Ok(drawn)
    }

    fn block(&self, text: &str, style: super::line::Style, width: f32, lines_max: usize) -> Block {
        Block::new(self.typesetter, text, style, width, lines_max)
    }

    fn head(&self, pen: &mut Pen<'_, '_>) {
        let head = self.head;
        pen.block_ending_at(&head.code, MARGIN + TEXT_WIDTH);
        let number = match self.ticket {
            Some(_) => format!("Ticket {} of {}", self.index + 1, self.count),
            None => "Booking".to_owned(),
        };
        let number = self.block(&number, regular(11.0), TEXT_WIDTH / 2.0, 1);
        pen.block(&number, MARGIN, TEXT_WIDTH);
        pen.gap(4.0);
        pen.rule();
        pen.gap(16.0);
        pen.heading(&head.title, MARGIN, TEXT_WIDTH);
        pen.gap(6.0);
        pen.block(&head.starts, MARGIN, TEXT_WIDTH);
        pen.gap(6.0);
        pen.block(&head.venue, MARGIN, TEXT_WIDTH);
        pen.block(&head.address, MARGIN, TEXT_WIDTH);
        let map = self.block("Map of the venue", regular(10.0), TEXT_WIDTH, 1);
        pen.link(&map, MARGIN, &map_url(&self.booked.show.venue));
        pen.gap(14.0);
        pen.rule();
        pen.gap(14.0);
    }

    /// Section, row and seat in columns. Whether there was a font for all letters.
    fn seat(&self, pen: &mut Pen<'_, '_>, ticket: &Ticket) -> bool {
        let (columns, step_free) = match &ticket.seat {
            Some(seat) => (
                vec![
                    ("Section", seat.section.clone()),
                    ("Row", seat.row.clone()),
                    ("Seat", seat.number.to_string()),
                ],
                seat.accessible,
            ),
            None => (vec![("Seat", ticket.seat_id.to_string())], false),
        };
        let (top, mut bottom, mut x, mut is_complete) = (pen.y, pen.y, MARGIN, true);
        for ((name, value), share) in columns.into_iter().zip(SEAT_COLUMNS) {
            let width = TEXT_WIDTH * share;
            let inner = width - COLUMN_GAP / 2.0;
            let styles = [(bold(20.0), 1), (bold(13.0), 2), (bold(9.0), 3)];
            let value = Block::fitted(self.typesetter, &value, &styles, inner);
            is_complete &= value.is_complete();
            pen.y = top;
            pen.block(&self.block(name, regular(9.0), inner, 1), x, inner);
            pen.block(&value, x, inner);
            bottom = bottom.max(pen.y);
            x += width;
        }
        pen.y = bottom;
        if step_free {
            pen.gap(4.0);
            pen.block(
                &self.block("Step-free", bold(11.0), TEXT_WIDTH, 1),
                MARGIN,
                TEXT_WIDTH,
            );
        }
        pen.gap(14.0);
        is_complete
    }

    /// The QR code of `text`, and beside it what to do with it.
    fn code(&self, pen: &mut Pen<'_, '_>, text: &str) -> Result<(), PdfError> {
        let top = pen.y;
        pen.picture(modules(text, MARGIN, top)?, "QR code of the ticket");
        let x = MARGIN + CODE_SIDE + COLUMN_GAP;
        let width = TEXT_WIDTH - CODE_SIDE - COLUMN_GAP;
        pen.gap(16.0);
        for (style, text) in [
            (bold(12.0), "Show this code at the door"),
            (
                regular(11.0),
                "Printed or on a screen. It lets one person in, once: do not pass on a copy.",
            ),
        ] {
            pen.block(&self.block(text, style, width, 4), x, width);
        }
        pen.gap(14.0);
        let name = self.ticket.and_then(|ticket| ticket.holder_name.as_deref());
        if let Some(name) = name {
            pen.block(&self.block("Name", regular(9.0), width, 1), x, width);
            pen.block(&self.block(name, bold(12.0), width, 2), x, width);
            pen.gap(8.0);
        }
        // What was paid is between the buyer and the seller.
        if !self.booked.booking.passed_on {
            let (name, amount) = self.price();
            pen.block(&self.block(name, regular(9.0), width, 2), x, width);
            pen.block(&self.block(&amount, bold(16.0), width, 1), x, width);
        }
        pen.y = pen.y.max(top + CODE_SIDE);
        Ok(())
    }

    /// What the ticket cost, or all tickets together where only that is known.
    fn price(&self) -> (&str, String) {
        let booking = &self.booked.booking;
        let sold_as = self
            .ticket
            .and_then(|ticket| ticket.ticket_type_name.as_deref());
        match self.booked.prices.get(self.index) {
            Some(price) => (sold_as.unwrap_or("Price"), money(*price, &booking.currency)),
            None => (
                "Paid for all tickets of the booking",
                money(booking.amount_minor, &booking.currency),
            ),
        }
    }

    /// Why the ticket opens no door, in a frame where its code would be.
    fn objection(&self, pen: &mut Pen<'_, '_>, text: &str) {
        let padding = 16.0;
        let width = TEXT_WIDTH - 2.0 * padding;
        let block = self.block(text, bold(16.0), width, 3);
        pen.frame(MARGIN, TEXT_WIDTH, block.height() + 2.0 * padding);
        pen.gap(padding);
        pen.block(&block, MARGIN + padding, width);
        pen.gap(padding);
    }

    fn foot(&self, pen: &mut Pen<'_, '_>, is_complete: bool) {
        pen.y = pen.y.max(PAGE_HEIGHT - MARGIN - FOOT_HEIGHT);
        pen.rule();
        pen.gap(8.0);
        let small = regular(9.0);
        let page_url = &self.booked.page_url;
        let page = self.block(page_url, small, TEXT_WIDTH, 2);
        pen.link(&page, MARGIN, page_url);
        let mut notes = Vec::new();
        if let Some(ticket) = self.ticket {
            notes.push(format!("Ticket {}", ticket.ticket_id));
        }
        if self.booked.booking.status == BookingStatus::PartiallyCancelled {
            notes.push("Other tickets of this booking were cancelled.".to_owned());
        }
        if !is_complete {
            notes.push(
                "Some letters could not be printed. They can be read at the address above."
                    .to_owned(),
            );
        }
        for note in notes {
            pen.block(&self.block(&note, small, TEXT_WIDTH, 1), MARGIN, TEXT_WIDTH);
        }
    }
}

/// The dark areas of the QR code of `text` whose white border begins at `left` and `top`:
/// neighbours of a row in one.
fn modules(text: &str, left: f32, top: f32) -> Result<Vec<Rect>, QrError> {
    let code = qr_code(text)?;
    let width = code.width();
    let side = CODE_SIDE / points(width + 2 * QUIET_ZONE);
    let mut areas = Vec::new();
    for (row, colors) in code.to_colors().chunks(width).enumerate() {
        let mut column = 0;
        for run in colors.chunk_by(|left, right| left == right) {
            if run[0] == Color::Dark {
                areas.extend(Rect::from_xywh(
                    left + points(column + QUIET_ZONE) * side,
                    top + points(row + QUIET_ZONE) * side,
                    points(run.len()) * side,
                    side,
                ));
            }
            column += run.len();
        }
    }
    Ok(areas)
}

/// A number of modules as a factor.
fn points(modules: usize) -> f32 {
    f32::from(u16::try_from(modules).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ticket_files::sample::booked_show;

    fn rendered(booked: &BookedShow) -> Rendered {
        tickets_pdf(booked, &TicketFonts::default()).unwrap()
    }

    #[test]
    fn the_same_booking_makes_the_same_file() {
        let booked = booked_show("Eras");
        let first = rendered(&booked);
        assert!(first.is_complete && first.bytes.starts_with(b"%PDF-"));
        assert_eq!(first.bytes, rendered(&booked).bytes);
    }

    #[test]
    fn further_fonts_are_asked_for_what_the_first_do_not_have() {
        let booked = booked_show("Eras");
        // A font twice changes nothing: the first that has a letter is taken.
        let twice = TicketFonts::with([include_bytes!("../../fonts/NotoSans-Bold.ttf").to_vec()]);
        let again = tickets_pdf(&booked, &twice.unwrap()).unwrap();
        assert_eq!(again.bytes, rendered(&booked).bytes);
        assert!(!rendered(&booked_show("東京")).is_complete);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn any_texts_make_a_pdf(title in ".{0,200}", place in ".{0,200}", row in ".{1,32}") {
            let mut booked = booked_show(&title);
            booked.show.venue.name.clone_from(&place);
            booked.show.venue.address = place;
            let seat = booked.booking.tickets[0].seat.as_mut().unwrap();
            (seat.section, seat.row) = (title, row);
            prop_assert!(tickets_pdf(&booked, &TicketFonts::default()).is_ok());
        }
    }
}
