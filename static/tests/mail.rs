//! Every kind of mail, also with titles that mean harm.

#[path = "../examples/preview/mail.rs"]
mod mail;

use pages::mail::{MailText, booking_confirmed};

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
fn no_mail_needs_what_mail_programs_leave_out() {
    for (name, mail) in mail::mails() {
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
    for (name, mail) in mail::mails() {
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
