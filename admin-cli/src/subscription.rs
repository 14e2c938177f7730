//! `ropeline subscription`: webhooks to those who subscribe to events.

use comfy_table::{Cell, Color};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::client::AdminClient;
use crate::console::{Console, coloured, counted, grouped, table_of};
use crate::event_args::{DeliveryState, ReplayArgs, SubscriptionCommand};
use crate::failure::{Exit, Failure};

/// A subscription.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    #[serde(rename = "subscriptionId")]
    id: String,
    url: String,
    types: Vec<String>,
    status: String,
    disabled_because: Option<String>,
    failing_since: Option<String>,
    due_count: u64,
    failed_count: u64,
    position: u64,
    /// Only when it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// Subscriptions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Subscriptions {
    subscriptions: Vec<Subscription>,
}

/// Deliveries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Deliveries {
    deliveries: Vec<Delivery>,
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Delivery {
    position: u64,
    #[serde(rename = "type")]
    kind: String,
    status: String,
    attempt_count: u64,
    tried_at: Option<String>,
    last_error: Option<String>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// What a receiver made of a test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tested {
    taken: bool,
    answer_status: Option<u16>,
    error: Option<String>,
}

/// How many deliveries are sent again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Retried {
    retried_count: u64,
}

/// Runs the command.
pub(crate) async fn run(
    command: &SubscriptionCommand,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    use SubscriptionCommand as It;
    match command {
        It::Create {
            url,
            kinds,
            description,
            after,
        } => {
            let mut body = json!({ "url": url, "types": kinds.kinds });
            if let Some(description) = description {
                body["description"] = json!(description);
            }
            if let Some(after) = after {
                body["after"] = json!(after);
            }
            let made = client.write(Method::POST, "subscriptions", &body).await?;
            told(&made, console)
        }
        It::List => {
            let list: Subscriptions = client.get("subscriptions").await?;
            listed(&list, console)
        }
        It::Show { subscription } => told(
            &client.get(&format!("subscriptions/{subscription}")).await?,
            console,
        ),
        It::Delete { subscription, yes } => {
            let question = format!("Delete {subscription} with its deliveries?");
            console.confirm(&question, *yes)?;
            client
                .delete(&format!("subscriptions/{subscription}"))
                .await?;
            console.note(&format!("{subscription} is deleted."));
            Ok(Exit::Fine)
        }
        It::Enable { subscription } => {
            let path = format!("subscriptions/{subscription}/enable");
            told(&client.post(&path).await?, console)
        }
        It::Disable { subscription } => {
            let path = format!("subscriptions/{subscription}/disable");
            told(&client.post(&path).await?, console)
        }
        It::Rotate {
            subscription,
            overlap_seconds,
        } => {
            let path = format!("subscriptions/{subscription}/rotate");
            let body = json!({ "overlapSeconds": overlap_seconds });
            told(&client.write(Method::POST, &path, &body).await?, console)
        }
        It::Deliveries {
            subscription,
            status,
        } => {
            let status =
                status.map_or_else(String::new, |status| format!("?status={}", word_of(status)));
            let path = format!("subscriptions/{subscription}/deliveries{status}");
            deliveries(&client.get(&path).await?, console)
        }
        It::Test { subscription } => {
            let path = format!("subscriptions/{subscription}/test");
            tested(&client.post(&path).await?, console)
        }
        It::Replay(args) => replay(args, client, console).await,
    }
}

fn word_of(status: DeliveryState) -> &'static str {
    match status {
        DeliveryState::Due => "DUE",
        DeliveryState::Delivered => "DELIVERED",
        DeliveryState::Failed => "FAILED",
    }
}

fn told(subscription: &Subscription, console: &Console) -> Result<Exit, Failure> {
    if console.is_json() {
        console.document(subscription)?;
        return Ok(Exit::Fine);
    }
    console.table(table(std::slice::from_ref(subscription)))?;
    if let Some(why) = &subscription.disabled_because {
        console.text(&format!("Disabled: {why}."))?;
    }
    if let Some(secret) = &subscription.secret {
        console.text(&format!("Secret, not shown again: {secret}"))?;
    }
    Ok(Exit::Fine)
}

fn table(subscriptions: &[Subscription]) -> comfy_table::Table {
    let titles = ["subscription", "state", "events", "waiting", "dead", "to"];
    let mut table = table_of(&titles);
    for subscription in subscriptions {
        let state = if subscription.status != "ENABLED" {
            coloured("disabled", Color::Red)
        } else if subscription.failing_since.is_some() {
            coloured("failing", Color::Yellow)
        } else {
            coloured("enabled", Color::Green)
        };
        let types = match subscription.types.as_slice() {
            [] => "all".to_owned(),
            types => types.join(", "),
        };
        table.add_row([
            Cell::new(&subscription.id),
            state,
            Cell::new(types),
            Cell::new(grouped(subscription.due_count)),
            Cell::new(grouped(subscription.failed_count)),
            Cell::new(&subscription.url),
        ]);
    }
    table
}

fn listed(list: &Subscriptions, console: &Console) -> Result<Exit, Failure> {
    if console.is_json() {
        console.document(list)?;
    } else if list.subscriptions.is_empty() {
        console.note("Nobody subscribes to events.");
    } else {
        console.table(table(&list.subscriptions))?;
    }
    Ok(Exit::Fine)
}

fn deliveries(list: &Deliveries, console: &Console) -> Result<Exit, Failure> {
    if console.is_json() {
        console.document(list)?;
        return Ok(Exit::Fine);
    }
    if list.deliveries.is_empty() {
        console.note("There is no such delivery.");
        return Ok(Exit::Fine);
    }
    let mut table = table_of(&[
        "position",
        "event",
        "state",
        "attempts",
        "tried",
        "last failure",
    ]);
    for delivery in &list.deliveries {
        table.add_row([
            Cell::new(delivery.position),
            Cell::new(&delivery.kind),
            Cell::new(delivery.status.to_lowercase()),
            Cell::new(delivery.attempt_count),
            Cell::new(delivery.tried_at.as_deref().unwrap_or("not yet")),
            Cell::new(delivery.last_error.as_deref().unwrap_or_default()),
        ]);
    }
    console.table(table)?;
    Ok(Exit::Fine)
}

fn tested(tested: &Tested, console: &Console) -> Result<Exit, Failure> {
    if console.is_json() {
        console.document(tested)?;
    } else if tested.taken {
        let status = tested.answer_status.unwrap_or_default();
        console.text(&format!("The receiver took it: {status}."))?;
    } else {
        let why = tested.error.as_deref().unwrap_or("no answer");
        console.text(&format!("The receiver did not take it: {why}."))?;
    }
    Ok(if tested.taken {
        Exit::Fine
    } else {
        Exit::Failed
    })
}

async fn replay(
    args: &ReplayArgs,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    let base = format!("subscriptions/{}", args.subscription);
    if let Some(after) = args.after {
        let body = json!({ "after": after });
        let path = format!("{base}/replay");
        return told(&client.write(Method::POST, &path, &body).await?, console);
    }
    let path = format!("{base}/deliveries/retry");
    let retried: Retried = client.write(Method::POST, &path, &json!({})).await?;
    if console.is_json() {
        console.document(&retried)?;
    } else {
        let letters = counted(retried.retried_count, "dead letter is", "dead letters are");
        console.text(&format!("{letters} sent again."))?;
    }
    Ok(Exit::Fine)
}
