//! Tickets and their QR codes.

use booking_core::{InvalidTicket, verify_ticket};
use contract::{Clock, Timestamp};

use crate::test_shop::TestShop;

#[tokio::test]
async fn a_ticket_is_verified_without_a_database() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let hold = fan.held(&["A1", "A2"]).await;
    let intent = fan.intent(&hold).await;
    shop.provider.pay(&intent);
    let booking = fan.confirm(&hold, &intent).await.json;
    let tickets = booking["tickets"].as_array().unwrap();
    assert_eq!(
        (&tickets[0]["seatId"], &tickets[1]["seatId"]),
        (&"A1".into(), &"A2".into())
    );
    let key = shop.process.booking.ticket_verifier();
    let doors = Timestamp::parse("2026-12-24T13:00:00Z").unwrap();
    for ticket in tickets {
        let text = ticket["qr"].as_str().unwrap();
        let claims = verify_ticket(text, &key, doors).unwrap();
        assert_eq!(
            claims.ticket_id.to_string(),
            ticket["ticketId"].as_str().unwrap()
        );
        let early = verify_ticket(text, &key, shop.clock.now());
        assert_eq!(early, Err(InvalidTicket::OutOfTime));
        let picture = fan.get(ticket["qrSvg"].as_str().unwrap()).await;
        assert_eq!(picture.headers["content-type"], "image/svg+xml");
        assert!(picture.text.contains("<svg"));
        assert_eq!(
            shop.fan()
                .get(ticket["qrSvg"].as_str().unwrap())
                .await
                .status,
            404
        );
    }
}
