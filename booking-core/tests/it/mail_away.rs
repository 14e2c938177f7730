//! Mail while its server is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use booking_core::{Delivery, MailConfig, Sender, SmtpServer as Server};
use tokio::net::TcpListener;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::mail::{PATIENCE, buys, listed, mails};
use crate::test_shop::TestShop;

#[tokio::test]
async fn a_server_that_is_away_is_not_tried_for_each_mail_of_a_round() {
    let shop = TestShop::new().await;
    for number in 1..=10 {
        for row in ["A", "B"]
            .into_iter()
            .filter(|row| (*row, number) != ("B", 10))
        {
            let seat = format!("{row}{number}");
            buys(&shop, &[&seat], &format!("{seat}@example.com")).await;
        }
    }
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", away.local_addr().unwrap());
    let tried = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tried);
    let hanging_up = AbortOnDropHandle::new(TaskTracker::new().spawn(async move {
        while let Ok((connection, _)) = away.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            drop(connection);
        }
    }));
    let smtp = Server::read(&url, None, "tickets.test").unwrap();
    let config = MailConfig {
        delivery: Delivery::Smtp(smtp.with_patience(PATIENCE)),
        from: Sender::read("Tickets <tickets@shop.example>").unwrap(),
    };
    let process = shop.another_process_that_mails(config).await;
    mails(&process).await;
    // Those that are under way at once.
    let tried = tried.load(Ordering::Relaxed);
    assert!((1..=8).contains(&tried), "{tried}");
    let due = listed(&process, "DUE").await;
    let due = due["notices"].as_array().unwrap();
    assert_eq!(due.len(), 19);
    for notice in due {
        let error = notice["lastError"].as_str().unwrap();
        assert!(error.contains("not available"), "{error}");
    }
    drop(hanging_up);
}
