//! Both ends of a channel on a link: [`ChannelReader`] gives its messages as they come, [`Pump`]
//! sends those of an attachment as fast as the receiver reads.
#![expect(
    clippy::disallowed_methods,
    reason = "a driver: each attachment that is sent has a task"
)]

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures_core::Stream;

use super::Link;
use crate::{
    error::{Code, Error, Result},
    message::{Attachment, Message},
    rpc::mux::Sent,
    wire::frame::Channels,
};

/// The messages of a channel from the other end.
struct ChannelReader {
    link: Link,
    id: u32,
    ended: bool,
}

impl Stream for ChannelReader {
    type Item = Result<Message>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Message>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let mut state = self.link.shared.lock();
        let taken = state.mux.take(self.id);
        let next = match taken {
            None => {
                if let Some(why) = &state.closed {
                    let message = format!("the link broke within a stream: {why}");
                    Some(Err(Error::new(Code::Unavailable, message)))
                } else {
                    state.readers.insert(self.id, cx.waker().clone());
                    return Poll::Pending;
                }
            }
            Some(None) => None,
            Some(Some(Err(error))) => Some(Err(error)),
            Some(Some(Ok(received))) => Some(Ok(received)),
        };
        // Reading may have given credit, which the driver must send.
        let driver = if state.mux.out.waiting() > 0 {
            state.driver.take()
        } else {
            None
        };
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        self.ended = !matches!(next, Some(Ok(_)));
        Poll::Ready(next.map(|next| {
            next.map(|received| Message {
                attachments: self.link.attachments(received.channels),
                body: received.body,
            })
        }))
    }
}

impl Drop for ChannelReader {
    fn drop(&mut self) {
        self.link.command(|state| {
            state.readers.remove(&self.id);
            state.mux.stop(self.id);
        });
    }
}

/// Sends the messages of an attachment on a channel, as fast as the receiver reads.
struct Pump {
    link: Link,
    id: u32,
    attachment: Attachment,
    next: Option<Message>,
}

impl Future for Pump {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            if let Some(message) = this.next.take() {
                match this.link.send(this.id, &message, cx.waker()) {
                    (Sent::Yes, channels) => this.link.pump(channels, message.attachments),
                    (Sent::NotNow, _) => {
                        this.next = Some(message);
                        return Poll::Pending;
                    }
                    (Sent::Stopped, _) => return this.finish(None),
                    (Sent::TooLarge { max }, _) => {
                        let what = format!(
                            "an item of the stream has {} bytes, the receiver takes {max}",
                            message.body.len()
                        );
                        return this.finish(Some(Error::new(Code::TooLarge, what)));
                    }
                }
            }
            match this.attachment.poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => this.next = Some(message),
                Poll::Ready(Some(Err(error))) => return this.finish(Some(error)),
                Poll::Ready(None) => return this.finish(None),
                Poll::Pending => {
                    // The receiver may stop the channel while the source has nothing.
                    if this.link.watch_writer(this.id, cx.waker()) {
                        return Poll::Pending;
                    }
                    return this.finish(None);
                }
            }
        }
    }
}

impl Pump {
    fn finish(&mut self, error: Option<Error>) -> Poll<()> {
        self.link.command(|state| {
            state.writers.remove(&self.id);
            state.idle.remove(&self.id);
            state.mux.end(self.id, error);
        });
        Poll::Ready(())
    }
}

impl Link {
    /// Sends attachments on channels that have just been opened for them.
    pub(super) fn pump(&self, channels: Channels, attachments: Vec<Attachment>) {
        for (id, attachment) in channels.ids().zip(attachments) {
            crate::world::spawn(Pump {
                link: self.clone(),
                id,
                attachment,
                next: None,
            });
        }
    }

    /// The attachments that arrive on channels that have just been opened.
    pub(super) fn attachments(&self, channels: Channels) -> Vec<Attachment> {
        channels
            .ids()
            .map(|id| {
                Attachment::new(ChannelReader {
                    link: self.clone(),
                    id,
                    ended: false,
                })
            })
            .collect()
    }

    fn send(&self, id: u32, message: &Message, waker: &Waker) -> (Sent, Channels) {
        let mut state = self.shared.lock();
        if state.closed.is_some() {
            return (Sent::Stopped, Channels::default());
        }
        let sent = state
            .mux
            .send(id, &message.body, message.attachments.len() as u16);
        let driver = match sent.0 {
            Sent::NotNow => {
                state.writers.insert(id, waker.clone());
                None
            }
            Sent::Yes => state.driver.take(),
            Sent::Stopped | Sent::TooLarge { .. } => None,
        };
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        sent
    }

    /// Wakes `waker` when the channel is stopped; false if it is stopped already.
    fn watch_writer(&self, id: u32, waker: &Waker) -> bool {
        let mut state = self.shared.lock();
        let open = state.closed.is_none() && state.mux.is_wanted(id);
        if open {
            state.idle.insert(id, waker.clone());
        }
        open
    }
}
