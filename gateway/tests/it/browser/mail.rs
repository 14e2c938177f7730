//! Mail without a mail server, as an operator looks at it.

use serde_json::json;

use super::chromium::{Browser, Kind};
use super::stage::{ADMIN_TOKEN, Stage, TITLE};

#[tokio::test]
async fn an_operator_reads_the_mail_of_a_purchase() {
    let stage = Stage::set(json!({})).await;
    let fan = Browser::start("mail-fan", Kind::PHONE).await;
    fan.open(&stage.line_url()).await;
    fan.clicks("#enter").await;
    fan.clicks(".best button").await;
    fan.arrives_at("/holds/").await;
    fan.types("[name=email]", "asha@example.org").await;
    fan.clicks(".pay button").await;
    fan.arrives_at("/pay/").await;
    fan.clicks("button[value=pay]").await;
    fan.arrives_at("/bookings/").await;
    let code = fan.text(".code").await.unwrap();

    let operator = Browser::start("mail", Kind::DESKTOP).await;
    operator.open(&stage.ops_url("/mail")).await;
    operator.types("#token", ADMIN_TOKEN).await;
    operator.clicks("#sign-in button").await;
    // Mail is written a second or two after the purchase.
    super::until("the mail", async || {
        operator.clicks("#again").await;
        (operator.count("#messages button").await == 1).then_some(())
    })
    .await;
    operator.clicks("#messages button").await;
    operator.mentions("#subject", TITLE).await;
    operator.mentions("#heads", "asha@example.org").await;
    operator.mentions("#text", &code).await;
    operator.mentions("#text", &stage.url("/bookings/")).await;
    assert_eq!(operator.attribute("#html", "sandbox").await, "");
    let html = operator.attribute("#html", "srcdoc").await;
    assert!(html.contains(&code) && !html.contains("<script"), "{html}");
    operator.picture("1-mail").await;

    // What a message brings along does not run, and loads nothing.
    let hostile = "const frame = document.getElementById('html');
        window.ran = false;
        addEventListener('message', () => { window.ran = true; });
        frame.srcdoc = '<script>parent.postMessage(1, \"*\")</script>\
            <img src=x onerror=\"parent.postMessage(1, \\'*\\')\">';
        return new Promise((done) => frame.addEventListener('load',
            () => setTimeout(() => done(window.ran), 500)))";
    assert_eq!(operator.script(hostile, &[]).await, json!(false));
}
