//! The show of a booking as a calendar file (RFC 5545).

use chrono::{DateTime, TimeDelta, Utc};
use contract::Timestamp;
use icalendar::{Alarm, Calendar, Component, Event, EventLike, EventStatus, Property};
use pages::map::{map_url, place};

use super::booked_show::{BookedShow, Validity, seat_in_words};

/// Octets of a line without its end.
const LINE_OCTETS_MAX: usize = 75;
/// How long before the start the calendar reminds of the show: time to go there.
const REMIND_BEFORE: TimeDelta = TimeDelta::hours(2);

/// The calendar file. Its event has the same id whenever it is made, so that a calendar that reads
/// it again replaces the event.
pub(crate) fn calendar(booked: &BookedShow) -> String {
    let mut calendar = Calendar::empty();
    for (name, value) in [
        ("VERSION", "2.0"),
        ("PRODID", "-//Ropeline//Box office//EN"),
        ("CALSCALE", "GREGORIAN"),
        ("METHOD", "PUBLISH"),
    ] {
        calendar.append_property(Property::new(name, value));
    }
    calendar.push(event(booked));
    folded(&calendar.to_string())
}

/// `text` with its content lines folded anew: the library lets the last part of a line be one octet
/// longer than RFC 5545 advises.
fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let unfolded = text.replace("\r\n ", "");
    for line in unfolded.split_terminator("\r\n") {
        let mut room = LINE_OCTETS_MAX;
        for letter in line.chars() {
            if letter.len_utf8() > room {
                folded.push_str("\r\n ");
                room = LINE_OCTETS_MAX - 1;
            }
            room -= letter.len_utf8();
            folded.push(letter);
        }
        folded.push_str("\r\n");
    }
    folded
}

fn event(booked: &BookedShow) -> Event {
    let show = &booked.show;
    let title = one_line(&show.title);
    let mut event = Event::with_uid(&format!("{}@ropeline", booked.booking.booking_id));
    event
        .timestamp(instant(booked.now))
        .starts(instant(show.starts_at))
        .summary(&title)
        .location(&one_line(&place(&show.venue)))
        .description(&description(booked))
        .url(&booked.page_url);
    // Without a known end, the end is the start.
    if show.ends_at > show.starts_at {
        event.ends(instant(show.ends_at));
    }
    if let (Some(latitude), Some(longitude)) = (show.venue.latitude, show.venue.longitude) {
        event.add_property("GEO", format!("{latitude};{longitude}"));
    }
    // A higher sequence number makes calendars take the change.
    event.sequence(booked.moves);
    match booked.validity() {
        Validity::Good => {
            event.status(EventStatus::Confirmed);
            event.alarm(reminder(booked, &title));
        }
        Validity::Over => {
            event.status(EventStatus::Confirmed);
        }
        Validity::BookingCancelled | Validity::ShowCancelled => {
            event
                .status(EventStatus::Cancelled)
                .sequence(booked.moves + 1);
        }
    }
    event.done()
}

/// The library would give it a random id and the time of its making: the file is to be the same
/// whenever it is made.
fn reminder(booked: &BookedShow, title: &str) -> Alarm {
    let mut alarm = Alarm::display(title, -REMIND_BEFORE);
    alarm
        .uid(&format!("{}-reminder@ropeline", booked.booking.booking_id))
        .add_property(
            "DTSTAMP",
            instant(booked.now).format("%Y%m%dT%H%M%SZ").to_string(),
        );
    alarm.done()
}

/// What the reader needs at the door, line by line.
fn description(booked: &BookedShow) -> String {
    let objection = booked.validity().objection().map(str::to_owned);
    let seats = booked.booking.tickets.iter().map(seat_in_words);
    let lines = objection
        .into_iter()
        .chain([
            booked.starts(),
            format!("Booking code {}", booked.booking.code),
        ])
        .chain(seats)
        .chain([
            format!("Tickets: {}", booked.page_url),
            format!("Map: {}", map_url(&booked.show.venue)),
        ]);
    lines
        .map(|line| one_line(&line))
        .collect::<Vec<_>>()
        .join("\n")
}

/// `text` without line breaks and other control characters, which must not get into a content line.
fn one_line(text: &str) -> String {
    let spaced = text.replace(char::is_control, " ");
    spaced.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn instant(at: Timestamp) -> DateTime<Utc> {
    // Every `Timestamp` is in the years 0 to 9999, which chrono supports.
    DateTime::from_timestamp_millis(at.as_ms()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use contract::booking::{BookingStatus, SaleStatus};
    use proptest::prelude::*;

    use super::*;
    use crate::ticket_files::sample::booked_show;

    fn has_line(text: &str, line: &str) -> bool {
        text.split("\r\n").any(|found| found == line)
    }

    #[test]
    fn the_event_is_the_show() {
        let text = calendar(&booked_show("Eras, the Tour"));
        for line in [
            "UID:bkg_0190163d8694739baea51966c26f8ad9@ropeline",
            "DTSTAMP:20261120T090000Z",
            "DTSTART:20261128T140000Z",
            "DTEND:20261128T170000Z",
            "SUMMARY:Eras\\, the Tour",
            "LOCATION:DY Patil Stadium\\, Nerul\\, Navi Mumbai",
            "STATUS:CONFIRMED",
            "TRIGGER:-PT7200S",
        ] {
            assert!(has_line(&text, line), "{line} is missing from:\n{text}");
        }
        assert!(text.ends_with("END:VCALENDAR\r\n"));
    }

    #[test]
    fn the_same_booking_makes_the_same_file() {
        let booked = booked_show("Eras");
        assert_eq!(calendar(&booked), calendar(&booked));
    }

    #[test]
    fn a_show_without_an_end_has_none_in_the_calendar() {
        let mut booked = booked_show("Eras");
        booked.show.ends_at = booked.show.starts_at;
        assert!(!calendar(&booked).contains("DTEND"));
    }

    #[test]
    fn what_was_cancelled_reminds_nobody() {
        let mut shows = [booked_show("Eras"), booked_show("Eras")];
        shows[0].show.sale_status = SaleStatus::Cancelled;
        shows[1].booking.status = BookingStatus::Cancelled;
        for booked in shows {
            let text = calendar(&booked);
            assert!(has_line(&text, "STATUS:CANCELLED") && has_line(&text, "SEQUENCE:1"));
            assert!(!text.contains("VALARM"));
        }
    }

    proptest! {
        #[test]
        fn no_title_adds_a_line(title in ".{0,200}", odd in "[\\r\\n\\\\;,\u{2028}\u{85} ]{0,40}") {
            let mut booked = booked_show(&format!("{title}{odd}{title}"));
            booked.show.venue.name = odd;
            let text = calendar(&booked);
            let unfolded = text.replace("\r\n ", "");
            let names = unfolded.trim_end().split("\r\n");
            for line in names {
                let name = line.split([':', ';']).next().unwrap_or_default();
                prop_assert!(!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-'), "{line:?}");
            }
            for line in text.split("\r\n") {
                prop_assert!(line.len() <= 75 && !line.contains(['\r', '\n']), "{line:?}");
            }
        }
    }
}
