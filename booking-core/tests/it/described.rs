//! What the served description says of refusals that come from outside of the handlers.

use crate::description::document;
use crate::test_shop::TestShop;

/// Answered from memory, whatever the database does.
const FROM_MEMORY: [&str; 5] = [
    "/api/v1/cities",
    "/api/v1/cities/{cityId}/shows",
    "/api/v1/shows/{showId}",
    // Looked up after the answer.
    "/api/v1/bookings/find",
    "/api/v1/me/codes",
];

#[tokio::test]
async fn every_operation_tells_when_it_may_be_away_or_asked_too_often() {
    let shop = TestShop::new().await;
    let document = document(&shop.process.router).await;
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 10, "the operations were not found");
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let told = |status: &str| {
                let about = &operation["responses"][status]["description"];
                about.as_str().unwrap_or_default().to_owned()
            };
            let at = format!("{method} {path}");
            let away = told("503").contains("database-unavailable");
            assert_eq!(away, !FROM_MEMORY.contains(&path.as_str()), "{at}");
            // The provider's webhooks are signed, and not limited.
            let limited = told("429").contains("rate-limited");
            assert_eq!(limited, !path.ends_with("/webhook"), "{at}");
        }
    }
}
