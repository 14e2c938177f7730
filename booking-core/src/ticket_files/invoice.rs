//! Invoices and credit notes as PDF.

use contract::booking::Show;
use contract::invoice::{Invoice, InvoiceKind};
use contract::pricing::{LineKind, PriceLine};
use krilla::Document;
use krilla::metadata::Metadata;
use krilla::page::PageSettings;
use krilla::tagging::{Node, Tag, TagGroup, TagTree};
use pages::moment::{Form, when};
use pages::money::money;

use super::line::{Style, Typesetter};
use super::page::{Block, MARGIN, PAGE_HEIGHT, PAGE_WIDTH, Pen, TEXT_WIDTH, bold, regular};
use super::pdf::{PdfError, Rendered};
use crate::ticket_fonts::TicketFonts;

/// Of what is written around names.
const LANGUAGE: &str = "en";
/// Lines on a page; the first has the parties above them.
const LINES_ON_PAGE: usize = 14;
/// Share of the width for the name of a line.
const NAME_SHARE: f32 = 0.7;
/// Invoices are dated by the time zone in which their numbers are given.
const ZONE: &str = "UTC";

/// A document with everything that its paper says.
#[derive(Clone, Debug)]
pub(crate) struct PrintedInvoice {
    pub(crate) invoice: Invoice,
    pub(crate) show: Show,
}

/// The PDF of a document. The same document makes the same file.
pub(super) fn invoice_pdf(
    printed: &PrintedInvoice,
    fonts: &TicketFonts,
) -> Result<Rendered, PdfError> {
    let typesetter = Typesetter::new(fonts)?;
    let invoice = &printed.invoice;
    let mut document = Document::new();
    document.set_metadata(
        Metadata::new()
            .title(title(invoice))
            .language(LANGUAGE.to_owned())
            .creator("Ropeline".to_owned()),
    );
    let mut read = TagTree::new().with_lang(Some(LANGUAGE.to_owned()));
    let mut is_complete = true;
    let pages: Vec<&[PriceLine]> = match invoice.lines.as_slice() {
        [] => vec![&[]],
        lines => lines.chunks(LINES_ON_PAGE).collect(),
    };
    for (index, lines) in pages.iter().enumerate() {
        let settings = PageSettings::from_wh(PAGE_WIDTH, PAGE_HEIGHT)
            .ok_or_else(|| PdfError::Written("the page has no size".to_owned()))?;
        let mut page = document.start_page_with(settings);
        let mut surface = page.surface();
        let mut sheet = Sheet {
            pen: Pen::new(&mut surface),
            typesetter: &typesetter,
            is_complete: true,
        };
        sheet.head(printed, index, pages.len());
        for line in *lines {
            sheet.line(line, &invoice.currency);
        }
        if index + 1 == pages.len() {
            sheet.sums(invoice);
        }
        is_complete &= sheet.is_complete;
        let mut section = TagGroup::new(Tag::Section);
        section.children = sheet.pen.read.into_iter().map(Node::Group).collect();
        read.push(section);
        surface.finish();
        page.finish();
    }
    document.set_tag_tree(read);
    let bytes = document
        .finish()
        .map_err(|error| PdfError::Written(format!("{error:?}")))?;
    Ok(Rendered { bytes, is_complete })
}

/// What the document is called, such as `Invoice 2026-000017`.
pub(crate) fn title(invoice: &Invoice) -> String {
    let kind = match invoice.kind {
        InvoiceKind::Invoice => "Invoice",
        InvoiceKind::CreditNote => "Credit note",
    };
    format!("{kind} {}", invoice.number)
}

/// A page that is being drawn.
struct Sheet<'a, 'b> {
    pen: Pen<'a, 'b>,
    typesetter: &'a Typesetter<'a>,
    /// Whether there was a font for every letter so far.
    is_complete: bool,
}

impl Sheet<'_, '_> {
    fn block(&mut self, text: &str, style: Style, width: f32, lines_max: usize) -> Block {
        let block = Block::new(self.typesetter, text, style, width, lines_max);
        self.is_complete &= block.is_complete();
        block
    }

    fn text(&mut self, text: &str, style: Style, lines_max: usize) {
        let block = self.block(text, style, TEXT_WIDTH, lines_max);
        self.pen.block(&block, MARGIN, TEXT_WIDTH);
    }

    /// A name on the left, and what belongs to it on the right.
    fn row(&mut self, name: &str, value: &str, style: Style) {
        let value = self.block(value, style, TEXT_WIDTH * (1.0 - NAME_SHARE), 1);
        let name = self.block(name, style, TEXT_WIDTH * NAME_SHARE, 2);
        self.pen.block_ending_at(&value, MARGIN + TEXT_WIDTH);
        self.pen.block(&name, MARGIN, TEXT_WIDTH * NAME_SHARE);
        self.pen.gap(4.0);
    }

    fn head(&mut self, printed: &PrintedInvoice, index: usize, count: usize) {
        let (invoice, show) = (&printed.invoice, &printed.show);
        let seller = &invoice.seller;
        self.text(&seller.name, bold(12.0), 2);
        for line in &seller.address {
            self.text(line, regular(10.0), 1);
        }
        self.text(
            &format!("Tax number {}", seller.tax_number),
            regular(10.0),
            1,
        );
        self.pen.gap(20.0);
        let heading = self.block(&title(invoice), bold(22.0), TEXT_WIDTH, 2);
        self.pen.heading(&heading, MARGIN, TEXT_WIDTH);
        if let Some(number) = &invoice.of_number {
            self.text(&format!("For invoice {number}"), regular(11.0), 1);
        }
        self.pen.gap(10.0);
        let starts = when(show.starts_at, &show.time_zone, Form::Full);
        let venue = format!("{}, {}", show.venue.name, show.venue.address);
        for (name, value) in [
            ("Date", when(invoice.issued_at, ZONE, Form::Day)),
            ("Booking", invoice.booking_code.clone()),
            ("Customer", invoice.email.clone()),
            ("Show", show.title.clone()),
            ("Takes place", format!("{starts}, {venue}")),
        ] {
            self.text(&format!("{name}: {value}"), regular(11.0), 2);
        }
        if count > 1 {
            self.text(&format!("Page {} of {count}", index + 1), regular(9.0), 1);
        }
        self.pen.gap(12.0);
        self.pen.rule();
        self.pen.gap(10.0);
    }

    fn line(&mut self, line: &PriceLine, currency: &str) {
        // Included taxes are told below, because they are not added.
        if line.included {
            return;
        }
        let name = match (line.quantity, line.unit_minor) {
            (Some(quantity), Some(unit)) if line.kind == LineKind::Ticket => {
                format!("{quantity} × {}, {} each", line.name, money(unit, currency))
            }
            _ => with_rate(line),
        };
        self.row(&name, &money(line.amount_minor, currency), regular(11.0));
    }

    fn sums(&mut self, invoice: &Invoice) {
        let currency = &invoice.currency;
        self.pen.gap(4.0);
        self.pen.rule();
        self.pen.gap(10.0);
        let whole = match invoice.kind {
            InvoiceKind::Invoice => "Total, paid",
            InvoiceKind::CreditNote => "Total, given back",
        };
        self.row(whole, &money(invoice.amount_minor, currency), bold(13.0));
        self.pen.gap(6.0);
        let net = invoice.amount_minor - invoice.tax_minor;
        self.row("Without taxes", &money(net, currency), regular(10.0));
        let taxes = invoice
            .lines
            .iter()
            .filter(|line| line.kind == LineKind::Tax);
        for tax in taxes {
            let told = format!("Contains {}", with_rate(tax));
            self.row(&told, &money(tax.amount_minor, currency), regular(10.0));
        }
    }
}

/// The name of a line, with its rate.
fn with_rate(line: &PriceLine) -> String {
    match line.percent {
        Some(percent) => format!("{}, {percent} %", line.name),
        None => line.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use contract::invoice::{Seller, tax_minor};

    use super::*;
    use crate::money::invoice::line;
    use crate::ticket_files::sample::booked_show;

    fn printed(lines: usize, name: &str) -> PrintedInvoice {
        let booked = booked_show(name);
        let mut all: Vec<PriceLine> = (0..lines)
            .map(|_| line(LineKind::Ticket, name, 1_190))
            .collect();
        all.push(PriceLine {
            included: true,
            ..line(LineKind::Tax, "VAT", 190)
        });
        PrintedInvoice {
            invoice: Invoice {
                number: "2026-000017".to_owned(),
                kind: InvoiceKind::Invoice,
                of_number: None,
                booking_id: booked.booking.booking_id,
                booking_code: booked.booking.code.clone(),
                email: "fan@example.com".to_owned(),
                show_id: booked.show.show_id.clone(),
                amount_minor: 1_190,
                tax_minor: tax_minor(&all),
                currency: "EUR".to_owned(),
                lines: all,
                seller: Seller {
                    name: "Ropeline Concerts GmbH".to_owned(),
                    address: vec!["Spreeufer 1".to_owned(), "10115 Berlin".to_owned()],
                    tax_number: "DE 123456789".to_owned(),
                },
                issued_at: contract::Timestamp::from_ms(1_790_000_000_000),
            },
            show: booked.show,
        }
    }

    #[test]
    fn the_same_document_makes_the_same_file() {
        let fonts = TicketFonts::default();
        let first = invoice_pdf(&printed(3, "Stalls"), &fonts).unwrap();
        assert!(first.is_complete && first.bytes.starts_with(b"%PDF-"));
        let again = invoice_pdf(&printed(3, "Stalls"), &fonts).unwrap();
        assert_eq!(first.bytes, again.bytes);
        assert!(
            !invoice_pdf(&printed(3, "東京"), &fonts)
                .unwrap()
                .is_complete
        );
    }

    #[test]
    fn many_lines_and_long_names_make_more_pages() {
        let fonts = TicketFonts::default();
        let short = invoice_pdf(&printed(1, "Stalls"), &fonts).unwrap();
        let long = invoice_pdf(&printed(60, &"Stalls ".repeat(80)), &fonts).unwrap();
        let pages = |pdf: &[u8]| pdf.windows(11).filter(|it| *it == b"/Type /Page").count();
        assert!(long.bytes.len() > short.bytes.len());
        assert!(pages(&long.bytes) >= pages(&short.bytes));
    }
}
