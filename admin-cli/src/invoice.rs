//! `ropeline invoice …`: listing, reading and exporting invoices and credit notes.

use comfy_table::Cell;
use contract::invoice::{Invoice, InvoiceKind, InvoiceList};

use crate::amount::money_text;
use crate::client::AdminClient;
use crate::console::{Console, counted, table_of};
use crate::failure::{Exit, Failure};
use crate::invoice_args::{InvoiceCommand, InvoiceFilter, KindArg};

const COLUMNS: [&str; 12] = [
    "number",
    "kind",
    "of",
    "issued_at",
    "booking",
    "code",
    "show",
    "email",
    "currency",
    "amount_minor",
    "net_minor",
    "tax_minor",
];

/// Runs the command.
pub(crate) async fn run(
    command: InvoiceCommand,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    match command {
        InvoiceCommand::List(filter) => list(&filter, client, console).await?,
        InvoiceCommand::Show { number } => show(&number, client, console).await?,
        InvoiceCommand::Export(filter) => export(&filter, client, console).await?,
    }
    Ok(Exit::Fine)
}

/// The query of a page.
fn path(filter: &InvoiceFilter, after: i64) -> String {
    let mut path = format!("invoices?after={after}");
    if let Some(year) = filter.year {
        path = format!("{path}&year={year}");
    }
    if let Some(kind) = filter.kind {
        let kind = match kind {
            KindArg::Invoice => "INVOICE",
            KindArg::CreditNote => "CREDIT_NOTE",
        };
        path = format!("{path}&kind={kind}");
    }
    if let Some(booking) = filter.booking {
        path = format!("{path}&bookingId={booking}");
    }
    path
}

/// Hands every document to `each`, page by page. Returns how many there were.
async fn every(
    filter: &InvoiceFilter,
    client: &AdminClient,
    mut each: impl FnMut(&Invoice) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let (mut after, mut count) = (0, 0);
    loop {
        let page: InvoiceList = client.get(&path(filter, after)).await?;
        for invoice in &page.invoices {
            count += 1;
            each(invoice)?;
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok(count),
        }
    }
}

const fn word(kind: InvoiceKind) -> &'static str {
    match kind {
        InvoiceKind::Invoice => "invoice",
        InvoiceKind::CreditNote => "credit note",
    }
}

async fn list(
    filter: &InvoiceFilter,
    client: &AdminClient,
    console: &Console,
) -> Result<(), Failure> {
    let mut table = table_of(&["number", "", "issued", "booking", "amount", "taxes"]);
    let count = every(filter, client, |invoice| {
        if console.is_json() {
            return console.document_line(invoice);
        }
        let money = |minor| Cell::new(money_text(minor, &invoice.currency));
        table.add_row([
            Cell::new(&invoice.number),
            Cell::new(word(invoice.kind)),
            Cell::new(invoice.issued_at.to_string()),
            Cell::new(invoice.booking_id.to_string()),
            money(invoice.amount_minor),
            money(invoice.tax_minor),
        ]);
        Ok(())
    });
    let count = count.await?;
    if console.is_json() {
        return Ok(());
    }
    if count == 0 {
        console.note("There is none. Gateways make them with ROPELINE_INVOICE_SELLER.");
        return Ok(());
    }
    console.table(table)
}

async fn show(number: &str, client: &AdminClient, console: &Console) -> Result<(), Failure> {
    let is_number = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if number.is_empty() || !number.chars().all(is_number) {
        return Err(Failure::usage(format!(
            "`{number}` is not a number of an invoice"
        )));
    }
    let invoice: Invoice = client.get(&format!("invoices/{number}")).await?;
    if console.is_json() {
        return console.document(&invoice);
    }
    let money = |minor| money_text(minor, &invoice.currency);
    let mut table = table_of(&["", ""]);
    let mut add = |name: &str, value: &str| {
        table.add_row([Cell::new(name), Cell::new(value)]);
    };
    add(word(invoice.kind), &invoice.number);
    if let Some(of) = &invoice.of_number {
        add("for invoice", of);
    }
    add("issued", &invoice.issued_at.to_string());
    add("seller", &invoice.seller.name);
    for line in &invoice.seller.address {
        add("", line);
    }
    add("tax number", &invoice.seller.tax_number);
    add("customer", &invoice.email);
    add("booking", &invoice.booking_id.to_string());
    for line in &invoice.lines {
        let included = if line.included { "including " } else { "" };
        add(
            &format!("{included}{}", line.name),
            &money(line.amount_minor),
        );
    }
    add("total", &money(invoice.amount_minor));
    add(
        "without taxes",
        &money(invoice.amount_minor - invoice.tax_minor),
    );
    console.table(table)
}

async fn export(
    filter: &InvoiceFilter,
    client: &AdminClient,
    console: &Console,
) -> Result<(), Failure> {
    if !console.is_json() {
        console.text(&COLUMNS.join(","))?;
    }
    let count = every(filter, client, |invoice| {
        if console.is_json() {
            console.document_line(invoice)
        } else {
            console.text(&row(invoice))
        }
    });
    let count = count.await?;
    console.note(&format!(
        "{} exported.",
        counted(count, "document", "documents")
    ));
    Ok(())
}

/// The row of a document. Credit notes take off what their invoices had.
fn row(invoice: &Invoice) -> String {
    let sign = match invoice.kind {
        InvoiceKind::Invoice => 1,
        InvoiceKind::CreditNote => -1,
    };
    let amounts = [
        invoice.amount_minor,
        invoice.amount_minor - invoice.tax_minor,
        invoice.tax_minor,
    ];
    let texts = [
        invoice.number.clone(),
        word(invoice.kind).to_owned(),
        invoice.of_number.clone().unwrap_or_default(),
        invoice.issued_at.to_string(),
        invoice.booking_id.to_string(),
        invoice.booking_code.clone(),
        invoice.show_id.to_string(),
        crate::sales::quoted(&invoice.email),
        invoice.currency.clone(),
    ];
    let amounts = amounts.map(|minor| (sign * minor).to_string());
    let cells: Vec<String> = texts.into_iter().chain(amounts).collect();
    cells.join(",")
}

#[cfg(test)]
mod tests {
    use contract::invoice::Seller;

    use super::*;

    #[test]
    fn credit_notes_are_negative_and_addresses_are_no_formulas() {
        let credit = Invoice {
            number: "2026-C000001".to_owned(),
            kind: InvoiceKind::CreditNote,
            of_number: Some("2026-000001".to_owned()),
            booking_id: "bkg_0198c2e4f7a87c1e9d3b5a6f70812c3d".parse().unwrap(),
            booking_code: "K7M2RRX9B".to_owned(),
            email: "=cmd@example.com".to_owned(),
            show_id: "eras".parse().unwrap(),
            amount_minor: 1_190,
            tax_minor: 190,
            currency: "EUR".to_owned(),
            lines: Vec::new(),
            seller: Seller {
                name: "Seller".to_owned(),
                address: Vec::new(),
                tax_number: "1".to_owned(),
            },
            issued_at: contract::Timestamp::from_ms(0),
        };
        assert_eq!(
            row(&credit),
            "2026-C000001,credit note,2026-000001,1970-01-01T00:00:00.000Z,\
             bkg_0198c2e4f7a87c1e9d3b5a6f70812c3d,K7M2RRX9B,eras,'=cmd@example.com,EUR,\
             -1190,-1000,-190"
        );
        assert_eq!(row(&credit).split(',').count(), COLUMNS.len());
    }
}
