//! Who makes invoices.

use super::settings::{Settings, given};

/// Longest prefix of numbers, in characters.
const PREFIX_CHARS_MAX: usize = 12;
/// Longest line, in characters.
const LINE_CHARS_MAX: usize = 100;
/// Most lines of an address.
const ADDRESS_LINES_MAX: usize = 6;

/// The seller, as invoices tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceTexts {
    /// The name.
    pub seller: String,
    /// The lines of the address.
    pub address: Vec<String>,
    /// The number under which taxes are paid.
    pub tax_number: String,
    /// What all numbers begin with.
    pub prefix: String,
}

/// Reads the settings; what cannot be used is noted. `None` when no invoices are made.
pub(super) fn invoice_texts(
    settings: &Settings,
    note: &mut impl FnMut(String),
) -> Option<InvoiceTexts> {
    let text = |text: &Option<String>| given(text.clone()).map(|text| text.trim().to_owned());
    let seller = text(&settings.invoice_seller);
    let address = text(&settings.invoice_address);
    let tax_number = text(&settings.invoice_tax_number);
    let prefix = text(&settings.invoice_prefix).unwrap_or_default();
    let all = [&seller, &address, &tax_number];
    if all.iter().all(|it| it.is_none()) && prefix.is_empty() {
        return None;
    }
    if all.iter().any(|it| it.is_none()) {
        note(
            "ROPELINE_INVOICE_SELLER, ROPELINE_INVOICE_ADDRESS and ROPELINE_INVOICE_TAX_NUMBER \
             go together: an invoice needs all of them"
                .to_owned(),
        );
    }
    let address = address.unwrap_or_default();
    let address = address.split(['|', '\n']).map(str::trim);
    let address: Vec<String> = address
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    if address.len() > ADDRESS_LINES_MAX {
        note(format!(
            "ROPELINE_INVOICE_ADDRESS: write at most {ADDRESS_LINES_MAX} lines, with | between them"
        ));
    }
    let (seller, tax_number) = (seller.unwrap_or_default(), tax_number.unwrap_or_default());
    let named = [
        ("ROPELINE_INVOICE_SELLER", &seller),
        ("ROPELINE_INVOICE_TAX_NUMBER", &tax_number),
    ];
    let lines = address
        .iter()
        .map(|line| ("ROPELINE_INVOICE_ADDRESS", line));
    for (name, line) in named.into_iter().chain(lines) {
        if line.chars().any(char::is_control) || line.chars().count() > LINE_CHARS_MAX {
            note(format!(
                "{name}: `{line}` must be one line of at most {LINE_CHARS_MAX} characters"
            ));
        }
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if prefix.chars().count() > PREFIX_CHARS_MAX || !prefix.chars().all(is_plain) {
        note(format!(
            "ROPELINE_INVOICE_PREFIX: `{prefix}` must have at most {PREFIX_CHARS_MAX} letters, \
             digits and hyphens"
        ));
    }
    Some(InvoiceTexts {
        seller,
        address,
        tax_number,
        prefix,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(settings: &Settings) -> (Option<InvoiceTexts>, Vec<String>) {
        let mut notes = Vec::new();
        let texts = invoice_texts(settings, &mut |problem| notes.push(problem));
        (texts, notes)
    }

    #[test]
    fn the_seller_is_read_or_told() {
        assert_eq!(read(&Settings::default()), (None, Vec::new()));
        let good = Settings {
            invoice_seller: Some(" Ropeline Concerts GmbH ".to_owned()),
            invoice_address: Some("Spreeufer 1 | 10115 Berlin | Germany".to_owned()),
            invoice_tax_number: Some("DE 123456789".to_owned()),
            invoice_prefix: Some("RL-".to_owned()),
            ..Settings::default()
        };
        let (texts, notes) = read(&good);
        assert_eq!(notes, Vec::<String>::new());
        let texts = texts.unwrap();
        assert_eq!(texts.seller, "Ropeline Concerts GmbH");
        assert_eq!(texts.address, ["Spreeufer 1", "10115 Berlin", "Germany"]);
        for (bad, name) in [
            (
                Settings {
                    invoice_tax_number: None,
                    ..good.clone()
                },
                "go together",
            ),
            (
                Settings {
                    invoice_prefix: Some("R/".to_owned()),
                    ..good.clone()
                },
                "ROPELINE_INVOICE_PREFIX",
            ),
            (
                Settings {
                    invoice_address: Some("a|b|c|d|e|f|g".to_owned()),
                    ..good.clone()
                },
                "ROPELINE_INVOICE_ADDRESS",
            ),
            (
                Settings {
                    invoice_seller: Some("x".repeat(101)),
                    ..good.clone()
                },
                "ROPELINE_INVOICE_SELLER",
            ),
        ] {
            let (_, notes) = read(&bad);
            assert!(notes.len() == 1 && notes[0].contains(name), "{notes:?}");
        }
    }
}
