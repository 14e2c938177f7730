//! One run: fans on one side, faults on the other, and the audit afterwards.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use clap::Parser as _;
use contract::SystemClock;
use loadtest::Outcome;
use loadtest::cli::{Cli, Command, RunOptions};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::balancer::look_after;
use crate::chronicle::Chronicle;
use crate::mail;
use crate::options::Options;
use crate::site::{NAME, Site};
use crate::timetable::{Entry, Fault, Part, Provider, draw};

/// How long fans go on after the last fault: until the line that stood then is served.
const QUIET: Duration = Duration::from_mins(4);
/// How long refunds that are under way are waited for.
const SETTLE: Duration = Duration::from_mins(2);

/// Breaks things for as long as the options say, and says whether every promise was kept.
pub(crate) async fn run(
    options: Options,
    salt: u64,
    stop: CancellationToken,
) -> anyhow::Result<Outcome> {
    let span = Duration::from_secs_f64(options.minutes * 60.0);
    let timetable = draw(options.seed, span, options.fault_count());
    if options.timetable {
        print_timetable(&timetable);
        return Ok(Outcome::Kept);
    }
    tracing::info!(
        "seed {}: {} faults in {:.1} minutes; starting gateways and servers",
        options.seed,
        timetable.len(),
        options.minutes
    );
    let starting = Site::start(&options, salt);
    let mut site = tokio::select! {
        started = starting => started?,
        () = stop.cancelled() => bail!("interrupted"),
    };
    let chronicle = Chronicle::begin();
    let going = go_on(&mut site, &options, &timetable, &chronicle, (salt, &stop));
    let ran = Box::pin(going).await;
    print_summary(&options, &chronicle, site.gateways.failed_starts());
    let mut ended = site.gateways.ended();
    if ran.is_ok() {
        ended.extend(mail_complaints(&site).await);
    }
    for complaint in &ended {
        tracing::error!("{complaint}");
    }
    let outcome = match ran {
        Ok(Outcome::Kept) if !ended.is_empty() => Ok(Outcome::Broken),
        other => other,
    };
    let keeps = !matches!(outcome, Ok(Outcome::Kept));
    if let Some(kept) = site.stop(keeps).await {
        tracing::error!(
            "seed {}; data and logs are kept in {}",
            options.seed,
            kept.display()
        );
    }
    outcome
}

/// What is wrong with the mail that was taken.
#[expect(clippy::print_stdout, reason = "the summary is what the run is for")]
async fn mail_complaints(site: &Site) -> Vec<String> {
    let admin = format!("http://{}/admin/v1", site.ops.address);
    match mail::judge(&site.mail, &admin, &site.token).await {
        Ok(mails) => {
            let (taken, repeated) = (mails.taken, mails.repeated);
            println!(
                "{taken:5}  mails taken, of which {repeated} came again under their Message-ID"
            );
            mails.complaints
        }
        Err(error) => vec![format!("mail was not judged: {error:#}")],
    }
}

/// Sends fans and breaks things until both are over.
async fn go_on(
    site: &mut Site,
    options: &Options,
    timetable: &[Entry],
    chronicle: &Chronicle,
    (salt, stop): (u64, &CancellationToken),
) -> anyhow::Result<Outcome> {
    let fans = fans(site, options, &site.dir().join("report.json"))?;
    let clock = Arc::new(SystemClock);
    let sent = loadtest::run_disturbed(fans, clock, salt, stop.clone(), &chronicle.disturbances);
    let backends = site.backends.clone();
    let broken = break_things(site, timetable, chronicle, stop);
    let both = async {
        // Whatever cannot be mended ends the run: fans would wait in vain.
        let (outcome, ()) = tokio::try_join!(sent, broken)?;
        anyhow::Ok(outcome)
    };
    tokio::select! {
        outcome = both => outcome,
        looked = look_after(&backends) => {
            looked?;
            bail!("nobody looks after the gateways");
        }
    }
}

/// Breaks each part at its times, and the parts beside each other.
async fn break_things(
    site: &mut Site,
    timetable: &[Entry],
    chronicle: &Chronicle,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let (gateways, redis, postgres) = (&mut site.gateways, &mut site.redis, &mut site.postgres);
    let (links, mail) = (&site.links, &mut site.mail);
    let outages = site.payments.outages();
    let of = |part: Part| {
        let entries = timetable.iter().filter(move |it| it.fault.part() == part);
        Course {
            entries: entries.copied().collect(),
            start,
            chronicle,
            stop,
        }
    };
    tokio::try_join!(
        of(Part::Gateways).run(async |fault| gateways.suffer(fault).await),
        of(Part::Redis).run(async |fault| redis.suffer(fault, links).await),
        of(Part::Postgres).run(async |fault| postgres.suffer(fault, links).await),
        of(Part::Network).run(async |fault| {
            links.suffer(fault).await;
            Ok(())
        }),
        of(Part::Provider(Provider::Stripe)).run(async |fault| outages.suffer(fault).await),
        of(Part::Provider(Provider::Razorpay)).run(async |fault| outages.suffer(fault).await),
        of(Part::Mail).run(async |fault| {
            mail::suffer(mail, fault).await;
            Ok(())
        }),
    )?;
    Ok(())
}

/// The faults of one part, one after the other.
struct Course<'a> {
    entries: Vec<Entry>,
    start: Instant,
    chronicle: &'a Chronicle,
    stop: &'a CancellationToken,
}

impl Course<'_> {
    async fn run(
        self,
        mut suffer: impl AsyncFnMut(&Fault) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for entry in self.entries {
            tokio::select! {
                () = tokio::time::sleep_until(self.start + entry.at) => {}
                () = self.stop.cancelled() => return Ok(()),
            }
            let from = self.chronicle.comes(&entry.fault);
            suffer(&entry.fault).await?;
            // Whether mail goes out changes nothing for those in line.
            if entry.fault.part() != Part::Mail {
                self.chronicle.is_mended(from);
            }
        }
        Ok(())
    }
}

/// The fans of a run: as many as it can call, of all kinds.
fn fans(site: &Site, options: &Options, report: &Path) -> anyhow::Result<RunOptions> {
    let span = Duration::from_secs_f64(options.minutes * 60.0);
    let count = options.fan_count();
    let arguments = [
        "ropeline-loadtest".to_owned(),
        "run".to_owned(),
        format!("--url=http://{}", site.public.address),
        format!("--ops-url=http://{}", site.ops.address),
        format!("--token={}", site.token),
        format!("--room={NAME}"),
        format!("--show={NAME}"),
        format!("--payment-url={}", site.payments.url),
        format!("--payment-secret={}", site.payments.secrets.stripe),
        format!("--seed={}", options.seed),
        format!("--fans={count}"),
        format!("--over={}ms", span.mul_f64(0.9).as_millis()),
        format!("--sockets={}", count * 2 / 3),
        format!("--buyers={}", count / 4),
        "--drifters=0.05".to_owned(),
        "--no-shows=0.03".to_owned(),
        "--double-claims=0.2".to_owned(),
        "--rejoins=0.2".to_owned(),
        "--declined-cards=0.2".to_owned(),
        "--cancels=0.4".to_owned(),
        "--strict".to_owned(),
        "--tickets=2".to_owned(),
        "--claim-delay=4s".to_owned(),
        "--think=5s".to_owned(),
        format!("--max-duration={}ms", (span + QUIET).as_millis()),
        format!("--settle={}ms", SETTLE.as_millis()),
        format!("--json={}", report.display()),
    ];
    match Cli::try_parse_from(arguments)?.command {
        Command::Run(options) => Ok(*options),
        Command::Demo(_) => bail!("not a run"),
    }
}

#[expect(clippy::print_stdout, reason = "it is what was asked for")]
fn print_timetable(timetable: &[Entry]) {
    for entry in timetable {
        println!("{:7.2} s  {}", entry.at.as_secs_f64(), entry.fault);
    }
}

#[expect(clippy::print_stdout, reason = "the summary is what the run is for")]
fn print_summary(options: &Options, chronicle: &Chronicle, failed_starts: u32) {
    println!("seed {}, {}", options.seed, chronicle.summary());
    println!("{failed_starts:5}  gateways that ended while they started, and were started again");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A seed whose three faults of the installation are a gateway stopped, another one killed and
    /// Redis failed over.
    const SEED: &str = "5";

    #[tokio::test(flavor = "multi_thread")]
    async fn a_short_run_keeps_every_promise() {
        let tests = std::env::current_exe().unwrap();
        let programs = tests.ancestors().nth(2).unwrap();
        let gateway = programs.join("ropeline-gateway");
        let options = Options::parse_from([
            "ropeline-faults",
            "--minutes=0.5",
            "--faults=3",
            "--seed",
            SEED,
            "--gateway",
            gateway.to_str().unwrap(),
        ]);
        let outcome = run(options, 1, CancellationToken::new()).await;
        assert_eq!(outcome.unwrap(), Outcome::Kept);
    }
}
