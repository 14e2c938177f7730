//! The command line: what can be typed and what `--help` says about it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use contract::checkin::Label;
use contract::{NoticeId, RoomId, ScannerId, ShowId, Timestamp};

use crate::backup_args::{BackupCommand, RestoreArgs};
use crate::booking_args::{BookingCommand, ReviewCommand};
use crate::config::GatewayOptions;
use crate::coupon_args::CouponCommand;
use crate::event_args::{EventsCommand, SalesArgs, SubscriptionCommand};
use crate::invoice_args::InvoiceCommand;
use crate::room::flags::SettingFlags;
use crate::when::{When, parse_span, parse_when};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed, or a check found something
  2  the command line does not make sense
  3  cannot reach the gateway
  4  not authorised
  5  not found
  6  conflict: changed by someone else, or not possible in the present state

Examples:
  ropeline room create eras --path /shows/eras --rate 1200 --opens-at +10m
  ropeline room watch eras
  ropeline show import eras.json
  ropeline check";

/// Plans, opens, throttles, pauses and closes waiting rooms, and imports shows.
#[derive(Debug, Parser)]
#[command(name = "ropeline", version, after_help = EXIT_CODES, max_term_width = 100)]
#[command(arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub(crate) gateway: GatewayOptions,
    /// Write JSON to stdout: one document, or one a line for logs; failures as JSON to stderr
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Waiting rooms: create, change, open, pause, close, watch
    #[command(subcommand)]
    Room(RoomCommand),
    /// Shows of the booking core: import, list, cancel, move
    #[command(subcommand)]
    Show(ShowCommand),
    /// Purchases that look like fraud: list, show, approve, refuse
    #[command(subcommand)]
    Review(ReviewCommand),
    /// Bookings: find, show, refund, mail their links again
    #[command(subcommand)]
    Booking(BookingCommand),
    /// Coupons: create, list, show, disable
    #[command(subcommand)]
    Coupon(CouponCommand),
    /// Numbered invoices and credit notes: list, show, export
    #[command(subcommand)]
    Invoice(InvoiceCommand),
    /// Run every invariant check; exit code 1 when one is violated
    #[command(after_help = "Example:\n  ropeline check --json | jq .clean")]
    Check,
    /// Compare the payment provider's last day with our books; exit code 1 on a stray payment
    #[command(after_help = "Example:\n  ropeline reconcile --json | jq .orphanedIntents")]
    Reconcile,
    /// Check-in at the gates: who came, conflicts, the tokens of scanners
    #[command(subcommand)]
    Checkin(CheckinCommand),
    /// Mail to fans: what waits, what was given up, sending it again
    #[command(subcommand)]
    Mail(MailCommand),
    /// The log of events that other programs are told
    #[command(subcommand)]
    Events(EventsCommand),
    /// Webhooks to those who subscribe to events
    #[command(subcommand)]
    Subscription(SubscriptionCommand),
    /// What was sold, by show, category and hour
    #[command(after_help = "Examples:\n  ropeline sales\n  \
        ropeline sales eras-mumbai-1 --hourly --csv > sales.csv")]
    Sales(SalesArgs),
    /// The draw that orders who came before opening
    #[command(subcommand)]
    Draw(DrawCommand),
    /// Read a room's admission log: who was called, in which order, when
    #[command(after_help = "Examples:\n  ropeline admissions eras --verify\n  \
        ropeline admissions eras --json > admissions.jsonl")]
    Admissions(AdmissionsArgs),
    /// Read the audit log: who changed what, newest first
    #[command(after_help = "Example:\n  ropeline audit --target eras --limit 20")]
    Audit(AuditArgs),
    /// Back the database and the keys up into one encrypted file
    ///
    /// It asks no gateway: it reads the database and the data directory. Gateways go on meanwhile.
    #[command(after_help = "Examples:\n  \
        ropeline backup --to /var/backups/ropeline --passphrase-file /etc/ropeline/backup-passphrase --keep 14\n  \
        ropeline backup --recipient age1… --to /mnt/backups\n  \
        ropeline backup verify /mnt/backups/ropeline-0011aabb-20261201T040000Z.tar.age --identity key.txt")]
    Backup(Box<BackupCommand>),
    /// Restore a backup into an empty database and a data directory without other keys
    ///
    /// The whole file is checked before anything is written. A restore that was interrupted is
    /// begun again with the same command.
    #[command(after_help = "Examples:\n  \
        ropeline restore ropeline-0011aabb-20261201T040000Z.tar.age --data-dir /var/lib/ropeline\n  \
        ropeline restore backup.tar.age --identity key.txt --database-url postgres://db/ropeline")]
    Restore(Box<RestoreArgs>),
    /// Write a completion script for a shell
    #[command(after_help = "Example:\n  \
        ropeline completions bash > ~/.local/share/bash-completion/completions/ropeline")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RoomCommand {
    /// Create a room
    #[command(after_help = "Examples:\n  \
        ropeline room create eras --path /shows/eras --rate 1200 --cap 5000\n  \
        ropeline room create eras --prequeue-opens-at 2026-11-22T09:00:00Z \
        --opens-at 2026-11-22T10:00:00Z\n  \
        ropeline room create shop --upstream http://10.0.0.5:3000 --path /checkout")]
    Create(Box<SettingsArgs>),
    /// List the rooms
    #[command(visible_alias = "ls", after_help = "Example:\n  ropeline room list")]
    List,
    /// Show a room's settings and state
    #[command(after_help = "Example:\n  ropeline room show eras")]
    Show {
        /// The room
        room: RoomId,
    },
    /// Change settings; shows before and after
    #[command(after_help = "Examples:\n  \
        ropeline room set eras --rate 600 --dry-run\n  \
        ropeline room set eras --opens-at none --message 'Back in ten minutes.'\n  \
        ropeline room set eras --no-message --no-access-codes")]
    Set {
        #[command(flatten)]
        settings: Box<SettingsArgs>,
        /// Only show what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// Start calling now, whatever the schedule says
    #[command(after_help = "Example:\n  ropeline room open eras")]
    Open {
        /// The room
        room: RoomId,
    },
    /// Stop calling; visitors keep their places
    #[command(after_help = "Example:\n  ropeline room pause eras --reason 'Back in ten minutes.'")]
    Pause {
        /// The room
        room: RoomId,
        /// What fans read
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Go back to what held before a pause, or to the schedule after `close`
    #[command(after_help = "Example:\n  ropeline room resume eras")]
    Resume {
        /// The room
        room: RoomId,
    },
    /// Take no one any more; asks first
    #[command(after_help = "Example:\n  ropeline room close eras --yes")]
    Close(ConfirmedArgs),
    /// Delete a room with its line; asks first
    ///
    /// The admission log stays, unless its end is asked for besides.
    #[command(after_help = "Examples:\n  ropeline room delete eras\n  \
        ropeline room delete eras --purge-log\n  \
        ropeline room delete eras --yes --purge-log --confirm eras")]
    Delete(DeleteArgs),
    /// Write a room's settings and its whole admission log as one JSON document
    ///
    /// With `--json` or without. Access codes are among the settings: keep the document as they
    /// are kept.
    #[command(after_help = "Examples:\n  ropeline room export eras > eras.json\n  \
        ropeline room export eras | jq '.admissions | length'")]
    Export {
        /// The room
        room: RoomId,
    },
    /// Watch a room live
    #[command(after_help = "\
Keys:
  q    quit
  p    pause or resume, after a question
  + -  change the rate by 10 %, after a question

Examples:
  ropeline room watch eras
  ropeline room watch eras --plain --count 10
  ropeline room watch eras --json | jq .inLine")]
    Watch(WatchArgs),
}

#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    /// The room: lower-case letters, digits and hyphens
    pub(crate) room: RoomId,
    #[command(flatten)]
    pub(crate) flags: SettingFlags,
}

#[derive(Debug, Args)]
pub(crate) struct ConfirmedArgs {
    /// The room
    pub(crate) room: RoomId,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    #[command(flatten)]
    pub(crate) room: ConfirmedArgs,
    /// Purge the admission log too, for good; asks once more. A log that outlived its room can be
    /// purged so as well
    #[arg(long)]
    pub(crate) purge_log: bool,
    /// The name of the room once more, in the place of the second question
    #[arg(long, requires = "purge_log", value_name = "ROOM")]
    pub(crate) confirm: Option<RoomId>,
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The room
    pub(crate) room: RoomId,
    /// One line per refresh instead of a full screen; so also when stdout is no terminal
    #[arg(long)]
    pub(crate) plain: bool,
    /// Stop after so many refreshes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Time between refreshes
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = parse_span)]
    pub(crate) every: std::time::Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShowCommand {
    /// Import a show file; importing it again updates the show
    #[command(
        after_help = "Examples:\n  ropeline show import eras.json --dry-run\n  \
        generate-show | ropeline show import -"
    )]
    Import {
        /// The show file, or `-` for stdin
        file: PathBuf,
        /// Only check the file and show what is in it
        #[arg(long)]
        dry_run: bool,
    },
    /// Print the JSON Schema of show files, for editors
    #[command(after_help = "Example:\n  ropeline show schema > show-file.schema.json")]
    Schema,
    /// List the shows
    #[command(visible_alias = "ls", after_help = "Example:\n  ropeline show list")]
    List,
    /// Show one show
    #[command(after_help = "Example:\n  ropeline show show eras-mumbai-1")]
    Show {
        /// The show
        show: ShowId,
    },
    /// Cancel a show: its sale ends, all bookings are refunded in full; cannot be taken back
    #[command(
        after_help = "The gateways refund the bookings in the background, also after a restart; \
        the command shows how far they are.\nExamples:\n  \
        ropeline show cancel eras-mumbai-1 --reason 'The soloist is ill.'\n  \
        ropeline show cancel eras-mumbai-1 --yes --no-wait --json"
    )]
    Cancel(ShowCancelArgs),
    /// Move a show to another time or venue: all bookings are told
    #[command(
        after_help = "The gateways tell the bookings in the background, also after a restart; the \
        command shows how far they are, and may be run again.\nExamples:\n  \
        ropeline show move eras-mumbai-1 --starts-at 2027-01-14T15:00:00Z --refund-until 2027-01-01T00:00:00Z\n  \
        ropeline show move eras-mumbai-1 --starts-at 2026-12-24T14:00:00Z --venue 'Indoor Hall' --venue-address Worli --yes --json"
    )]
    Move(ShowMoveArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ShowMoveArgs {
    /// The show
    pub(crate) show: ShowId,
    /// When it starts, such as 2027-01-14T15:00:00Z
    #[arg(long, value_parser = crate::when::instant)]
    pub(crate) starts_at: Timestamp,
    /// When it ends
    #[arg(long, value_parser = crate::when::instant)]
    pub(crate) ends_at: Option<Timestamp>,
    /// The venue; where it was to be when absent
    #[arg(long)]
    pub(crate) venue: Option<String>,
    /// The address of that venue
    #[arg(long, requires = "venue")]
    pub(crate) venue_address: Option<String>,
    /// Until when who bought before gets the whole price back
    #[arg(long, value_parser = crate::when::instant)]
    pub(crate) refund_until: Option<Timestamp>,
    /// Why, as the fans read it
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Do not wait until all bookings are told
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowCancelArgs {
    /// The show
    pub(crate) show: ShowId,
    /// Why, as the fans read it
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Do not wait until all bookings are refunded
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CheckinCommand {
    /// Count who came to a show, and who is inside, by gate
    #[command(after_help = "Example:\n  ropeline checkin counts eras-mumbai-1 --json | jq .inside")]
    Counts {
        /// The show
        show: ShowId,
    },
    /// List entries that another scan, or what became of the ticket, speaks against
    #[command(
        after_help = "Example:\n  ropeline checkin conflicts eras-mumbai-1 --json \
        | jq '.conflicts[] | select(.admitted)'"
    )]
    Conflicts {
        /// The show
        show: ShowId,
    },
    /// Tokens of scanners: create, list, revoke
    #[command(subcommand, visible_alias = "tokens")]
    Token(TokenCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a scanner for a gate; its token is shown once
    #[command(after_help = "Examples:\n  \
        ropeline checkin token create --show eras-mumbai-1 --gate North\n  \
        ropeline checkin token create --show eras-mumbai-1 --gate 'Door 3' --until +12h")]
    Create(ScannerArgs),
    /// List scanners, the newest first
    #[command(
        visible_alias = "ls",
        after_help = "Example:\n  \
        ropeline checkin token list --show eras-mumbai-1"
    )]
    List {
        /// Only those of this show
        #[arg(long)]
        show: Option<ShowId>,
    },
    /// Revoke the token of a scanner
    #[command(after_help = "Example:\n  \
        ropeline checkin token revoke scn_0198c2e4f7a87c1e9d3b5a6f70812c3d")]
    Revoke {
        /// The scanner
        scanner: ScannerId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ScannerArgs {
    /// The show whose tickets it scans
    #[arg(long)]
    pub(crate) show: ShowId,
    /// The gate where it stands
    #[arg(long)]
    pub(crate) gate: Label,
    /// How long its token is good: RFC 3339 or +12h [default: a day longer than the tickets]
    #[arg(long, value_name = "WHEN", value_parser = parse_when)]
    pub(crate) until: Option<When>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MailCommand {
    /// List the mails that were given up, and say how many wait
    #[command(
        visible_alias = "ls",
        after_help = "Examples:\n  ropeline mail list\n  \
        ropeline mail list --status due --json | jq '.notices[].lastError'"
    )]
    List {
        /// Mails in this state instead
        #[arg(long, value_enum, default_value_t = MailStatus::Failed)]
        status: MailStatus,
    },
    /// Send mail again that was given up
    #[command(after_help = "Examples:\n  \
        ropeline mail retry ntc_0198c2e4f7a87c1e9d3b5a6f70812c3d\n  ropeline mail retry --all")]
    Retry(RetryArgs),
}

/// The state of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum MailStatus {
    /// It waits to be sent
    Due,
    /// The mail server took it
    Sent,
    /// It was given up
    Failed,
    /// What it would have told was no longer so
    Moot,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct RetryArgs {
    /// The mail
    pub(crate) notice: Option<NoticeId>,
    /// All that were given up, the oldest thousand of them
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DrawCommand {
    /// Check that the published seed is the one committed to, and compute an order key
    #[command(after_help = "Examples:\n  ropeline draw verify eras\n  \
        ropeline draw verify eras --commitment 9f86d0… --nonce AAECAwQFBgcICQoLDA0ODw \
        --order-key 1183298394857")]
    Verify(DrawArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DrawArgs {
    /// The room
    pub(crate) room: RoomId,
    /// A visitor's nonce: 16 bytes, base64url
    #[arg(long)]
    pub(crate) nonce: Option<String>,
    /// The order key the visitor was given, to be compared
    #[arg(long, value_name = "KEY", requires = "nonce")]
    pub(crate) order_key: Option<u64>,
    /// The commitment as it was noted before opening, to be compared
    #[arg(long, value_name = "HEX")]
    pub(crate) commitment: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AdmissionsArgs {
    /// The room
    pub(crate) room: RoomId,
    /// Recompute the hash chain and check the order instead of listing; exit code 1 on a breach
    #[arg(long)]
    pub(crate) verify: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Show at most so many records, the newest
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: u64,
    /// Only what was done to this target, such as a room
    #[arg(long)]
    pub(crate) target: Option<String>,
    /// Only actions that begin so, such as `room.` or `room.pause`
    #[arg(long)]
    pub(crate) action: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// Every command that can be typed, with its path.
    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        for child in command.get_subcommands() {
            let path = format!("{path} {}", child.get_name());
            if child.has_subcommands() {
                leaves(child, &path, found);
            } else {
                found.push((path, child.clone()));
            }
        }
    }

    #[test]
    fn every_command_has_an_example_that_parses() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "ropeline", &mut found);
        assert!(found.len() > 15);
        for (path, command) in found {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let examples: Vec<&str> = help
                .lines()
                .filter_map(|line| line.find("ropeline ").map(|at| &line[at..]))
                .map(|line| line.split(['|', '>']).next().unwrap().trim())
                .collect();
            assert!(
                examples.iter().any(|e| e.starts_with(&path)),
                "{path} has no example"
            );
            for example in examples {
                let words = words(example);
                let parsed = Cli::try_parse_from(&words);
                assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
            }
        }
    }

    /// Splits as a shell does, as far as the examples need it.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (index, part) in line.split('\'').enumerate() {
            if index % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        words
    }
}
