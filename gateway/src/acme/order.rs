//! One order: from the account to the certificate.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy,
};

use super::Wanted;
use super::authority::Authority;
use super::kept::Kept;

/// How long the authority may take to look for us, and to write a certificate.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .timeout(Duration::from_mins(2));

/// The account is not known there.
const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// Gets a certificate and keeps it.
pub(super) async fn fill(wanted: &Wanted, kept: &Kept, authority: &Authority) -> Result<()> {
    kept.clear_challenges()?;
    let filled = ordered(wanted, kept, authority).await;
    kept.clear_challenges()?;
    let (chain, key) = filled?;
    kept.keep_certificate(wanted, &chain, &key)
}

async fn ordered(wanted: &Wanted, kept: &Kept, authority: &Authority) -> Result<(String, String)> {
    let mut order = begun(wanted, kept, authority).await?;
    show(&mut order, kept).await?;
    let status = order.poll_ready(&PATIENCE).await;
    let status = match status {
        Ok(status) => status,
        // The order's own error says less than that of the challenge.
        Err(error) => bail!(refusal(&mut order).await.unwrap_or(anyhow!(error))),
    };
    if status != OrderStatus::Ready {
        let why = refusal(&mut order).await;
        bail!(why.unwrap_or_else(|| anyhow!("the authority refused the order")));
    }
    let key = order.finalize().await;
    let key = key.context("the authority refused the request for a certificate")?;
    let chain = order.poll_certificate(&PATIENCE).await;
    Ok((chain.context("the authority gave no certificate")?, key))
}

/// A new order, for the account that is kept or a new one.
async fn begun(wanted: &Wanted, kept: &Kept, authority: &Authority) -> Result<Order> {
    let names: Vec<_> = wanted
        .domains
        .iter()
        .cloned()
        .map(Identifier::Dns)
        .collect();
    let order = NewOrder::new(&names);
    if let Some(credentials) = kept.account(wanted) {
        let account = Account::builder_with_http(Box::new(authority.clone()));
        let account = account.from_credentials(credentials).await;
        let account = account.context("the authority cannot be reached")?;
        match account.new_order(&order).await {
            Err(Error::Api(problem)) if problem.r#type.as_deref() == Some(NO_ACCOUNT) => {
                tracing::warn!("the authority does not know the account: another is made");
            }
            begun => return begun.context("the authority took no order"),
        }
    }
    let contact = wanted.email.as_ref().map(|email| format!("mailto:{email}"));
    let contact: Vec<_> = contact.as_deref().into_iter().collect();
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let account = Account::builder_with_http(Box::new(authority.clone()));
    let account = account.create(&new, wanted.directory.clone(), None).await;
    let (account, credentials) = account.context("the authority made no account")?;
    kept.keep_account(wanted, credentials)?;
    let begun = account.new_order(&order).await;
    begun.context("the authority took no order")
}

/// Shows the authority that the names lead here.
async fn show(order: &mut Order, kept: &Kept) -> Result<()> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let name = authorization.identifier().to_string();
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => {}
            status => {
                bail!("{name}: the authority does not let us show that it is ours: {status:?}")
            }
        }
        let challenge = authorization.challenge(ChallengeType::Http01);
        let mut challenge = challenge
            .ok_or_else(|| anyhow!("{name}: the authority does not look for it by HTTP"))?;
        kept.show_challenge(&challenge.token, challenge.key_authorization().as_str())?;
        let ready = challenge.set_ready().await;
        ready.with_context(|| format!("{name}: the authority did not look for it"))?;
    }
    Ok(())
}

/// Why the authority believes of a name that it does not lead here.
async fn refusal(order: &mut Order) -> Option<anyhow::Error> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.ok()?;
        let state = authorization.refresh().await.ok()?;
        let mut challenges = state.challenges.iter();
        if let Some(problem) = challenges.find_map(|challenge| challenge.error.as_ref()) {
            let name = state.identifier().to_string();
            let told = format!("{name} does not lead here by http, port 80");
            return Some(anyhow!(problem.clone()).context(told));
        }
    }
    None
}
