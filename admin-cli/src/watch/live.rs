//! The live view on a terminal: keys in, figures in, screen out.

use std::future::{Future, pending};
use std::pin::Pin;
use std::time::Duration;

use contract::room::RoomView;
use contract::{Clock, SystemClock};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::figures::{REFRESH_MIN, fetch, is_final, one_line};
use super::model::{Key, WatchModel, Wish};
use super::screen::{self, Palette};

use crate::args::WatchArgs;
use crate::client::AdminClient;
use crate::console::Console;
use crate::failure::Failure;
use crate::room;

/// Keys that wait while the screen is drawn; more are dropped, nobody types that fast.
const KEYS_MAX: usize = 16;
/// How long the keyboard thread waits before it looks whether the view is still there.
const KEY_POLL: Duration = Duration::from_millis(100);

type Running<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + 'a>>;

/// What the keyboard thread reports.
enum Input {
    Key(Key),
    Resized,
}

/// Shows the view until the visitor leaves or the room is gone.
pub(super) async fn run(
    args: &WatchArgs,
    client: &AdminClient,
    console: &Console,
) -> Result<(), Failure> {
    // A room that is not there is told before the screen is taken.
    let first = fetch(client, &args.room).await?;
    let mut model = WatchModel::new(args.room.clone());
    model.take_stats(first);
    let mut terminal = ratatui::try_init()
        .map_err(|error| Failure::failed(format!("Cannot take the terminal: {error}")))?;
    let (sender, inputs) = mpsc::channel(KEYS_MAX);
    let keyboard = std::thread::spawn(move || read_keyboard(&sender));
    let palette = Palette::new(console.has_colour());
    let ended = View {
        args,
        client,
        palette,
    }
    .run(model, &mut terminal, inputs)
    .await;
    // The receiver is gone, so the thread ends within one poll; the terminal is given back after,
    // so that no key typed at the shell is swallowed.
    let joined = keyboard.join();
    ratatui::restore();
    joined.map_err(|_| Failure::failed("The keyboard could not be read"))?;
    ended
}

struct View<'a> {
    args: &'a WatchArgs,
    client: &'a AdminClient,
    palette: Palette,
}

impl<'a> View<'a> {
    async fn run(
        &self,
        mut model: WatchModel,
        terminal: &mut DefaultTerminal,
        mut inputs: mpsc::Receiver<Input>,
    ) -> Result<(), Failure> {
        let mut refresh = interval(self.args.every.max(REFRESH_MIN));
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        refresh.reset();
        let mut remaining = self.args.count.map(|count| count - 1);
        let mut figures: Option<Running<'a, _>> = None;
        let mut change: Option<Running<'a, String>> = None;
        while remaining != Some(0) {
            terminal
                .draw(|frame| screen::draw(frame, &model, self.palette))
                .map_err(|error| Failure::failed(format!("Cannot draw: {error}")))?;
            tokio::select! {
                _ = refresh.tick(), if figures.is_none() => {
                    figures = Some(Box::pin(fetch(self.client, &self.args.room)));
                }
                answer = settled(&mut figures) => {
                    figures = None;
                    remaining = remaining.map(|count| count - 1);
                    match answer {
                        Ok(stats) => model.take_stats(stats),
                        Err(failure) if is_final(&failure) => return Err(failure),
                        Err(failure) => model.lose_contact(one_line(&failure)),
                    }
                }
                answer = settled(&mut change) => {
                    change = None;
                    model.tell(answer.unwrap_or_else(|failure| one_line(&failure)));
                }
                input = inputs.recv() => match input {
                    None => return Err(Failure::failed("The keyboard could not be read")),
                    Some(Input::Resized) => {}
                    Some(Input::Key(key)) => match model.press(key) {
                        None => {}
                        Some(Wish::Quit) => return Ok(()),
                        Some(_) if change.is_some() => model.tell("The last change is under way."),
                        Some(wish) => change = Some(Box::pin(grant(self.args, self.client, wish))),
                    },
                },
            }
        }
        Ok(())
    }
}

/// Waits for what is running; for ever, when nothing is.
async fn settled<T>(running: &mut Option<Running<'_, T>>) -> Result<T, Failure> {
    match running {
        Some(running) => running.await,
        None => pending().await,
    }
}

/// Does what was agreed to, and tells how it ended.
async fn grant(args: &WatchArgs, client: &AdminClient, wish: Wish) -> Result<String, Failure> {
    let name = &args.room;
    match wish {
        Wish::Pause => {
            room::orders::pause(client, name, None).await?;
            Ok(format!("Room {name} is paused."))
        }
        Wish::Resume => {
            let view = room::orders::resume(client, name).await?;
            Ok(room::tables::standing(&view, SystemClock.now()))
        }
        Wish::SetRate(rate) => {
            let seen: RoomView = client.get(&format!("rooms/{name}")).await?;
            let mut values = room::flags::SettingValues::new();
            values.insert("newUsersPerMinute".to_owned(), rate.into());
            let changed = room::change::write(client, &seen, &values).await?;
            let now = changed.room.settings.new_users_per_minute;
            Ok(format!("The rate is {now} a minute."))
        }
        Wish::Quit => Ok(String::new()),
    }
}

/// Reads keys until nobody listens.
fn read_keyboard(sender: &mpsc::Sender<Input>) {
    while !sender.is_closed() {
        let input = match event::poll(KEY_POLL) {
            Ok(false) => continue,
            Ok(true) => event::read(),
            Err(_) => return,
        };
        let input = match input {
            Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => Input::Key(meaning(key)),
            Ok(Event::Resize(..)) => Input::Resized,
            Ok(_) => continue,
            Err(_) => return,
        };
        // A full channel drops the key; a closed one ends the loop.
        sender.try_send(input).ok();
    }
}

fn meaning(key: KeyEvent) -> Key {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if control => Key::Quit,
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => Key::Quit,
        KeyCode::Char('p' | 'P') => Key::PauseOrResume,
        KeyCode::Char('+' | '=') => Key::Faster,
        KeyCode::Char('-' | '_') => Key::Slower,
        KeyCode::Char('y' | 'Y') => Key::Yes,
        _ => Key::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_meaning_each() {
        let plain = |code| KeyEvent::new(code, KeyModifiers::NONE);
        for (key, expected) in [
            (plain(KeyCode::Char('q')), Key::Quit),
            (plain(KeyCode::Esc), Key::Quit),
            (
                KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL),
                Key::Quit,
            ),
            (plain(KeyCode::Char('c')), Key::Other),
            (plain(KeyCode::Char('p')), Key::PauseOrResume),
            (plain(KeyCode::Char('+')), Key::Faster),
            (plain(KeyCode::Char('-')), Key::Slower),
            (plain(KeyCode::Char('y')), Key::Yes),
            (plain(KeyCode::Char('n')), Key::Other),
        ] {
            assert_eq!(meaning(key), expected, "{key:?}");
        }
    }
}
