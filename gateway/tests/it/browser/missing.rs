//! Browsers that lack something: it never hides the way in.

use serde_json::json;

use super::chromium::{Browser, Kind};
use super::stage::{SHOW, Stage};
use super::until;

/// The words of a page that knows the fan's place.
const PLACED: &str = "You are";

/// What the waiting page uses and some browsers lack: because they are old, because a setting or
/// an extension forbids it, because the page is not on HTTPS. The language itself is another
/// matter: where it is too old no script of ours runs.
const LACKING: [&str; 25] = [
    "fetch",
    "AbortController",
    "AbortSignal",
    "AbortSignal.timeout",
    "WebSocket",
    "EventSource",
    "BroadcastChannel",
    "localStorage",
    "Storage.prototype.setItem",
    "crypto",
    "Crypto.prototype.subtle",
    "Crypto.prototype.getRandomValues",
    "btoa",
    "URL",
    "Intl",
    "Intl.NumberFormat",
    "Promise.race",
    "Response.prototype.json",
    "globalThis",
    "Notification",
    "AudioContext",
    "Navigator.prototype.vibrate",
    "Navigator.prototype.onLine",
    "Navigator.prototype.cookieEnabled",
    "Document.prototype.hidden",
];

/// Takes away what the name of the window says, which stays while pages come and go, and begins
/// each of them with a browser that knows nothing of the site.
const TAKE_AWAY: &str = "{
    const [path, fresh] = window.name.split('#');
    try {
        if (localStorage.getItem('fresh') !== fresh) localStorage.clear();
        localStorage.setItem('fresh', fresh);
    } catch {}
    const names = (path || 'nothing').split('.');
    const last = names.pop();
    let owner = window;
    for (const name of names) owner = owner[name];
    delete owner[last];
}";

#[tokio::test]
async fn whatever_a_browser_lacks_the_way_in_stays() {
    let many = json!({ "totalActiveUsers": 1000, "newUsersPerMinute": 60_000 });
    let stage = Stage::set(many).await;
    let fan = Browser::start("lacking", Kind::DESKTOP).await;
    fan.before_each_page(TAKE_AWAY).await;
    fan.open(&stage.url("/")).await;
    for (number, lacking) in LACKING.iter().enumerate() {
        fan.forgets_cookies().await;
        let name = format!("{lacking}#{number}");
        fan.script("window.name = arguments[0]", &[&name]).await;
        fan.open(&stage.line_url()).await;
        let still = "return arguments[0].split('.').reduce((owner, name) => owner?.[name], window) \
            === undefined";
        // Something that is looked up on a prototype needs an object of its kind.
        if !lacking.contains("prototype") {
            assert_eq!(
                fan.script(still, &[lacking]).await,
                true,
                "{lacking} is there"
            );
        }
        walks_in(&fan, lacking).await;
    }
}

/// Goes in with at most a click on what is to be seen.
async fn walks_in(fan: &Browser, lacking: &str) {
    until(&format!("entering without {lacking}"), async || {
        if fan
            .path()
            .await
            .starts_with(&format!("/shows/{SHOW}/seats"))
        {
            return Some(());
        }
        for way in ["#enter", "#join-button"] {
            if fan.has(way).await && fan.may_click(way).await {
                break;
            }
        }
        None
    })
    .await;
}

#[tokio::test]
async fn without_its_script_the_page_still_follows_the_line() {
    let stage = Stage::set(json!({})).await;
    let [first, second] = [stage.rival().await, stage.rival().await];
    stage.goes_in(&first).await;
    let fan = Browser::start("broken", Kind::DESKTOP).await;
    fan.before_each_page("delete window.URL").await;
    fan.open(&stage.line_url()).await;
    fan.clicks("#join-button").await;
    fan.mentions("#headline", PLACED).await;
    fan.reads("#ahead", "1").await;
    stage.goes_home(&first).await;
    stage.goes_in(&second).await;
    stage.goes_home(&second).await;
    fan.reads("#headline", "It is your turn").await;
    fan.clicks("#enter").await;
    fan.arrives_at("/shows/").await;
}
