//! Links to a map of a venue. Nothing is fetched: the map's site hears of readers who follow the
//! link, and of nobody else.

use contract::booking::Venue;

use crate::percent::encode;

const MAP: &str = "https://www.openstreetmap.org";
/// Streets and the names of buildings can be read.
const ZOOM: u32 = 17;

/// The address of a map with the venue marked, or of a search for its address if its coordinates
/// are not known.
pub fn map_url(venue: &Venue) -> String {
    match (venue.latitude, venue.longitude) {
        (Some(latitude), Some(longitude)) => {
            format!("{MAP}/?mlat={latitude}&mlon={longitude}#map={ZOOM}/{latitude}/{longitude}")
        }
        _ => format!("{MAP}/search?query={}", encode(&place(venue), b"")),
    }
}

/// Name and address of the venue in one line.
pub fn place(venue: &Venue) -> String {
    let parts = [venue.name.as_str(), venue.address.as_str()];
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn venue(latitude: Option<f64>) -> Venue {
        Venue {
            name: "Schauspielhaus & Café".to_owned(),
            address: "Kirchenallee 39\n20099 Hamburg".to_owned(),
            latitude,
            longitude: latitude.map(|_| -0.000_01),
        }
    }

    #[test]
    fn a_known_place_is_marked() {
        assert_eq!(
            map_url(&venue(Some(53.5545))),
            "https://www.openstreetmap.org/?mlat=53.5545&mlon=-0.00001#map=17/53.5545/-0.00001"
        );
    }

    #[test]
    fn an_address_is_searched_for() {
        assert_eq!(
            map_url(&venue(None)),
            "https://www.openstreetmap.org/search?query=Schauspielhaus%20%26%20Caf%C3%A9%2C%20\
             Kirchenallee%2039%0A20099%20Hamburg"
        );
    }

    #[test]
    fn a_venue_without_address_is_its_name() {
        let venue = Venue {
            address: String::new(),
            ..venue(None)
        };
        assert_eq!(place(&venue), "Schauspielhaus & Café");
    }
}
