//! Mail to fans: from the settings to the booking core, and what operators are told of it.

use std::sync::Arc;

use booking_core::{
    Booking, ChannelsConfig, Delivery, MailConfig, Sender, SmsDelivery, SmsProvider, SmsSettings,
    SmtpServer,
};

use crate::config::Config;
use crate::figures::Advice;

/// The mail settings, or everything that is wrong with them. `public_url` names this gateway to the
/// mail server.
pub(super) fn mail_config(config: &Config, public_url: &str) -> Result<MailConfig, Vec<String>> {
    let mut problems = Vec::new();
    let mut mail = MailConfig::to_files(config.data_dir.join("mail"));
    match config.mail_from.as_deref().map(Sender::read) {
        Some(Ok(from)) => mail.from = from,
        Some(Err(why)) => problems.push(format!("ROPELINE_MAIL_FROM: {why}")),
        None if config.smtp_url.is_some() => problems.push(
            "ROPELINE_MAIL_FROM: a mail server needs a sender, such as \
             Tickets <tickets@example.org>"
                .to_owned(),
        ),
        None => {}
    }
    if let Some(url) = &config.smtp_url {
        match smtp_server(url, config, public_url) {
            Ok(server) => mail.delivery = Delivery::Smtp(server),
            Err(why) => problems.push(format!("ROPELINE_SMTP_URL: {why}")),
        }
    }
    if problems.is_empty() {
        Ok(mail)
    } else {
        Err(problems)
    }
}

fn smtp_server(url: &str, config: &Config, public_url: &str) -> Result<SmtpServer, String> {
    let pem = config.ca_file.as_ref().map(std::fs::read).transpose();
    let pem = pem.map_err(|error| format!("the file of ROPELINE_CA_FILE: {error}"))?;
    let public_url = url::Url::parse(public_url).ok();
    let host = public_url.as_ref().and_then(url::Url::host_str);
    SmtpServer::read(url, pem.as_deref(), host.unwrap_or("localhost"))
}

/// The settings of other channels, or what is wrong with them.
pub(super) fn channels_config(config: &Config) -> Result<ChannelsConfig, String> {
    let settings = &config.channels;
    let pem = config.ca_file.as_ref().map(std::fs::read).transpose();
    let more_roots = pem.map_err(|error| format!("the file of ROPELINE_CA_FILE: {error}"))?;
    let sms = match &settings.sms_url {
        Some(url) => {
            let provider = SmsProvider::read(SmsSettings {
                url,
                token: settings.sms_token.as_deref(),
                from: settings.sms_from.as_deref(),
                body: settings.sms_body.as_deref(),
                more_roots: more_roots.as_deref(),
            });
            SmsDelivery::Provider(provider.map_err(|why| format!("ROPELINE_SMS_URL: {why}"))?)
        }
        // For trying out: whoever reads the mail in files reads these beside it.
        None if config.smtp_url.is_none() => SmsDelivery::Files(config.data_dir.join("mail")),
        None => SmsDelivery::Off,
    };
    Ok(ChannelsConfig {
        sms,
        push_origins: settings.push_origins.clone(),
        templates: settings.templates.clone(),
        more_roots,
    })
}

/// What an operator should know of mail and reviews.
pub(super) fn advice(booking: &Booking) -> Advice {
    let booking = booking.clone();
    Arc::new(move || {
        let both = [booking.mail_advice(), booking.review_advice()];
        let both: Vec<String> = both.into_iter().flatten().collect();
        (!both.is_empty()).then(|| both.join("; "))
    })
}
