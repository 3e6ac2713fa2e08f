//! The terminal while `top` runs: alternate screen, raw mode, keys and signals.
//!
//! Leaving is in `Drop` and in the panic hook, so that the terminal is sane however `top` ends.

use std::io;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::screen;
use super::view::View;

/// Keys typed ahead of what is drawn.
const TYPED_AHEAD: usize = 32;

pub(super) enum Input {
    Key(KeyEvent),
    Resized,
    Stop,
}

pub(super) struct Terminal {
    screen: DefaultTerminal,
    events: mpsc::Receiver<Event>,
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Terminal {
    pub(super) fn enter() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hangup = signal(SignalKind::hangup())?;
        let screen = ratatui::try_init()?;
        let (sender, events) = mpsc::channel(TYPED_AHEAD);
        // Reading a key blocks; the thread ends with the process or when nobody listens.
        std::thread::spawn(move || {
            while let Ok(event) = event::read() {
                if sender.blocking_send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Self { screen, events, terminate, interrupt, hangup })
    }

    pub(super) fn draw(&mut self, view: &View) -> io::Result<()> {
        self.screen.draw(|frame| screen::draw(frame, view)).map(|_| ())
    }

    /// The next thing the user or the system wants.
    pub(super) async fn input(&mut self) -> Input {
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(Event::Key(key)) if key.kind != KeyEventKind::Release => {
                        return Input::Key(key);
                    }
                    Some(Event::Resize(_, _)) => return Input::Resized,
                    Some(_) => {}
                    None => return Input::Stop,
                },
                _ = self.terminate.recv() => return Input::Stop,
                _ = self.interrupt.recv() => return Input::Stop,
                _ = self.hangup.recv() => return Input::Stop,
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        ratatui::restore();
    }
}
