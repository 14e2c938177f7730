//! Structured data of a show for search engines: `schema.org/Event` as JSON-LD.

use contract::booking::{SaleStatus, Show};
use serde_json::{Value, json};

use crate::moment::{Form, when};
use crate::money::decimal;

/// The show as an event. `origin` is the shop's, without a final slash.
pub(super) fn event(show: &Show, origin: &str) -> Value {
    let url = format!("{origin}/shows/{}", show.show_id);
    let status = match show.sale_status {
        SaleStatus::Cancelled => "https://schema.org/EventCancelled",
        SaleStatus::Upcoming | SaleStatus::Open | SaleStatus::Closed => {
            "https://schema.org/EventScheduled"
        }
    };
    let availability = match show.sale_status {
        SaleStatus::Upcoming => "https://schema.org/PreOrder",
        SaleStatus::Open if show.available_count + show.held_count > 0 => {
            "https://schema.org/InStock"
        }
        SaleStatus::Open | SaleStatus::Closed | SaleStatus::Cancelled => {
            "https://schema.org/SoldOut"
        }
    };
    let offers: Vec<Value> = show
        .categories
        .iter()
        .map(|category| {
            json!({
                "@type": "Offer",
                "name": category.name,
                "price": decimal(category.price_minor, &show.currency),
                "priceCurrency": show.currency,
                "availability": availability,
                "validFrom": when(show.sale_opens_at, &show.time_zone, Form::Iso),
                "url": url,
            })
        })
        .collect();
    let performers: Vec<Value> = show
        .cast
        .iter()
        .map(|name| json!({ "@type": "PerformingGroup", "name": name }))
        .collect();
    let mut place = json!({
        "@type": "Place", "name": show.venue.name, "address": show.venue.address,
    });
    if let (Some(latitude), Some(longitude)) = (show.venue.latitude, show.venue.longitude) {
        place["geo"] = json!({
            "@type": "GeoCoordinates", "latitude": latitude, "longitude": longitude,
        });
    }
    json!({
        "@context": "https://schema.org",
        "@type": "Event",
        "name": show.title,
        "description": show.description,
        "startDate": when(show.starts_at, &show.time_zone, Form::Iso),
        "eventStatus": status,
        "eventAttendanceMode": "https://schema.org/OfflineEventAttendanceMode",
        "location": place,
        "performer": performers,
        "offers": offers,
        "url": url,
    })
}

/// The description for search results: the first sentences, cut at a word.
pub(super) fn summary(show: &Show) -> String {
    const CHARS_MAX: usize = 155;
    let when = when(show.starts_at, &show.time_zone, Form::Short);
    let text = format!("{when}, {}. {}", show.venue.name, show.description);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= CHARS_MAX {
        return text;
    }
    let cut: String = text.chars().take(CHARS_MAX).collect();
    let whole_words = cut
        .rsplit_once(' ')
        .map_or(cut.as_str(), |(before, _)| before);
    format!("{whole_words} …")
}
