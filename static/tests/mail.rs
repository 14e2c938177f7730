//! Every kind of mail, also with titles that mean harm.

#[path = "../examples/preview/mail.rs"]
mod mail;

use contract::pricing::{LineKind, PriceLine};
use pages::letters::{Letters, languages};
use pages::mail::{BookingConfirmedMail, MailText, Written};

fn booking_confirmed(mail: &BookingConfirmedMail) -> MailText {
    let letters = Letters::default();
    letters.in_language("en").booking_confirmed(mail).mail
}

/// Every letter in every language.
fn mails() -> Vec<(String, MailText)> {
    written()
        .into_iter()
        .map(|(name, written)| (name, written.mail))
        .collect()
}

fn written() -> Vec<(String, Written)> {
    let letters = Letters::default();
    let in_each = languages().flat_map(|language| {
        let mails = mail::mails(&letters, language);
        let named = mails.into_iter();
        named.map(move |(name, written)| (format!("{name} in {language}"), written))
    });
    in_each.collect()
}

#[test]
fn a_confirmation_says_everything_in_both_forms() {
    let MailText {
        subject,
        text,
        html,
    } = booking_confirmed(&mail::confirmed());
    assert!(subject.starts_with("Your tickets: "), "{subject}");
    for part in [
        "Booked and paid",
        "K7M2RRX9B",
        "row C",
        "seat 10",
        "step-free",
        "₹4,998",
        "https://tickets.example/bookings/bkg_0198c2e4f7a87c1e9d3b5a6f70812c3d",
        "IST",
    ] {
        assert!(text.contains(part), "{part} is missing from: {text}");
        assert!(html.contains(part), "{part} is missing from: {html}");
    }
}

#[test]
fn the_lines_of_a_price_are_told_in_every_language() {
    let mut mail = mail::confirmed();
    let line = |kind, name: &str, amount_minor, included| PriceLine {
        kind,
        name: name.to_owned(),
        amount_minor,
        category: None,
        ticket_type: None,
        quantity: Some(2),
        unit_minor: None,
        per: None,
        percent: None,
        included,
        on: None,
    };
    mail.booking.lines = vec![
        line(LineKind::Ticket, "Stalls", 500_000, false),
        line(LineKind::Discount, "SAVE10", -10_000, false),
        line(LineKind::Tax, "GST", 50_000, true),
    ];
    let letters = Letters::default();
    for (language, coupon, included) in [
        ("en", "Coupon SAVE10", "including GST"),
        ("de", "Gutschein SAVE10", "darin GST"),
        ("es", "Cupón SAVE10", "incluye GST"),
        ("fr", "Bon SAVE10", "dont GST"),
    ] {
        let MailText { text, html, .. } =
            letters.in_language(language).booking_confirmed(&mail).mail;
        for part in ["2 × Stalls", "₹5,000", coupon, included, "₹500"] {
            assert!(text.contains(part), "{language} {part}: {text}");
            assert!(html.contains(part), "{language} {part}: {html}");
        }
    }
}

#[test]
fn no_mail_needs_what_mail_programs_leave_out() {
    for (name, mail) in mails() {
        let html = &mail.html;
        for absent in [
            "<img", "<script", "<link", "url(", "@import", "<form", "<iframe",
        ] {
            assert!(!html.contains(absent), "{name}: {absent}");
        }
        assert!(
            !mail.text.contains(['<', '{', '}']),
            "{name}: {}",
            mail.text
        );
        assert!(!mail.text.contains("\n\n\n\n"), "{name}: {}", mail.text);
        assert!(!mail.subject.contains('\n'), "{name}");
        assert!(html.len() < 12_000, "{name}: {} bytes", html.len());
    }
}

#[test]
fn every_colour_of_text_comes_with_one_for_dark_mode() {
    for (name, mail) in mails() {
        assert!(mail.html.contains("prefers-color-scheme: dark"), "{name}");
        assert!(mail.html.contains("content=\"light dark\""), "{name}");
        for tag in mail.html.split('<').filter(|tag| tag.contains("color:#")) {
            let tag = tag.split('>').next().unwrap();
            assert!(tag.contains("class=\""), "{name}: <{tag}>");
        }
    }
}

#[test]
fn a_hostile_title_is_text_in_html_and_one_line_in_text() {
    let mut mail = mail::confirmed();
    mail.show.title = "<script>alert(1)</script>\n\nYou won: https://evil.example".to_owned();
    mail.show.venue.name = "\"><img src=x>\u{2028}Pay again".to_owned();
    let MailText { text, html, .. } = booking_confirmed(&mail);
    assert!(
        !html.contains("<script") && !html.contains("<img"),
        "{html}"
    );
    assert!(html.contains("&lt;script&gt;"), "{html}");
    assert!(
        !text.lines().any(|line| line.starts_with("You won")),
        "{text}"
    );
    assert!(
        !text.lines().any(|line| line.starts_with("Pay again")),
        "{text}"
    );
}

#[test]
fn no_letter_has_a_placeholder_left_in_any_language() {
    let written = written();
    assert!(written.len() >= 4 * 17, "{}", written.len());
    for (name, written) in written {
        let Written { mail, short, fault } = written;
        assert_eq!(fault, None, "{name}");
        let body = mail.html.split("</head>").nth(1).unwrap();
        for text in [&mail.subject, &mail.text, body, &short.title, &short.text] {
            assert!(!text.contains(['{', '}']), "{name}: {text}");
            assert!(!text.trim().is_empty(), "{name}");
            for key in ["undefined", ".subject", ".short", ".eyebrow"] {
                assert!(!text.contains(key), "{name}: {key} in {text}");
            }
        }
        let language = name.rsplit(' ').next().unwrap();
        assert!(
            mail.html.contains(&format!("<html lang=\"{language}\"")),
            "{name}"
        );
        assert!(short.text.chars().count() < 160, "{name}: {}", short.text);
    }
}

#[test]
fn a_code_is_not_in_what_locked_screens_show_of_mail() {
    for (name, written) in written() {
        assert!(!written.mail.subject.contains("041873"), "{name}");
        if name.starts_with("mail-code") {
            assert!(written.short.text.contains("041873"), "{name}");
        }
    }
}

#[test]
fn an_operators_templates_and_texts_take_the_place_of_ours() {
    let own = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(own.path().join(name), text).unwrap();
    std::fs::create_dir(own.path().join("texts")).unwrap();
    write(
        "booking_confirmed.txt",
        "Hello from the box office: {{ booking.code }}\n",
    );
    write(
        "texts/de.json",
        r#"{"bookingConfirmed": {"eyebrow": "Juhu"}}"#,
    );
    write(
        "texts/hi.json",
        r#"{"bookingConfirmed": {"eyebrow": "वाह"}}"#,
    );
    let (letters, faults) = Letters::with_own(own.path());
    assert_eq!(faults, Vec::<String>::new());
    let of = |language| {
        letters
            .in_language(language)
            .booking_confirmed(&mail::confirmed())
    };
    let german = of("de");
    assert_eq!(german.mail.text, "Hello from the box office: K7M2RRX9B");
    assert!(german.mail.html.contains("Juhu"));
    assert!(german.mail.html.contains("Buchungscode"));
    // Of a language of the operator's own, what is missing is English.
    let hindi = of("hi");
    assert!(hindi.mail.html.contains("वाह"));
    assert!(hindi.mail.html.contains("Booking code"));
    assert_eq!(german.fault, None);
}

#[test]
fn a_broken_template_of_an_operator_gives_way_to_ours_and_is_told() {
    let own = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(own.path().join(name), text).unwrap();
    std::fs::create_dir(own.path().join("texts")).unwrap();
    write("booking_confirmed.html", "{% if %}");
    write("refund_made.html", "{{ nothing.at.all }}");
    write("unknown.html", "x");
    write("texts/de.json", "{");
    let (letters, faults) = Letters::with_own(own.path());
    let told = faults.join("\n");
    for name in ["booking_confirmed.html", "unknown.html", "texts/de.json"] {
        assert!(told.contains(name), "{name}: {told}");
    }
    assert_eq!(faults.len(), 3, "{told}");
    let ours = Letters::default();
    for ((name, written), (_, built_in)) in mail::mails(&letters, "de")
        .into_iter()
        .zip(mail::mails(&ours, "de"))
    {
        assert_eq!(written.mail, built_in.mail, "{name}");
        assert_eq!(
            written.fault.is_some(),
            name.starts_with("mail-refund"),
            "{name}"
        );
    }
}
