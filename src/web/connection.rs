//! One client's connection, and whether it is the client for whom we wait.
//!
//! The framework guards the first head of a connection and the pause between two requests, and nothing else. Here the
//! socket and the request know of each other: the socket sees bytes come and go, the request says when it is in our hands.
//! While it is, nobody counts the time, so that an answer that is held back on purpose is no slow client.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::{HttpRequest, rt};
use futures_util::future::LocalBoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::limits::{Edge, Place};
use super::refusal;
use crate::error::{Code, Error};
use crate::keys::Standing;

/// How long a client may take to close a connection that we end.
pub const GOODBYE: Duration = Duration::from_secs(2);

/// What the socket and the requests of one connection tell each other; the requests have it as connection data.
pub struct Connection {
    edge: Rc<Edge>,
    /// A request is in our hands: its head has been read and its answer has not been begun.
    in_hand: Cell<bool>,
    place: Cell<Option<Place>>,
    /// How the key of the request in our hands stands, if it has a right one.
    standing: Cell<Option<Standing>>,
    /// How long the request in our hands has been parked, in all.
    rested: Cell<Duration>,
    /// When the first byte came of a request that is not in our hands yet.
    head_since: Cell<Option<Instant>>,
    stuck: Cell<Option<Stuck>>,
}

/// The client does not take what we have for it.
#[derive(Clone, Copy)]
struct Stuck {
    since: Instant,
    /// When it last took something.
    moved: Instant,
}

impl Connection {
    /// The connection on which the request came.
    ///
    /// # Errors
    /// When it came by another server than that of `server.rs`.
    pub fn of(request: &HttpRequest) -> Result<Rc<Connection>, Error> {
        let connection = request.conn_data::<Rc<Connection>>();
        connection
            .cloned()
            .ok_or_else(|| Error::new(Code::InternalError, "The service was put together wrongly."))
    }

    /// How long the body may take.
    pub fn body_deadline(&self) -> Duration {
        self.edge.limits.body
    }

    /// Returns when the service begins to stop: what waits on purpose ends then.
    pub fn stopping(&self) -> LocalBoxFuture<'static, ()> {
        let stopping = self.edge.stopping.clone();
        Box::pin(async move { stopping.notified().await })
    }

    /// Notes how the key of the request stands, for the answer to say it.
    pub fn note_standing(&self, standing: Standing) {
        self.standing.set(Some(standing));
    }

    /// Takes the place of the request out, for work that is to go on without the client.
    pub fn take_place(&self) -> Option<Place> {
        self.place.take()
    }

    /// Gives the place of the request back while it only waits; [`Parked::resume`] ends that.
    pub fn park(self: &Rc<Connection>) -> Parked {
        Parked {
            had_place: self.place.take().is_some(),
            since: Instant::now(),
            connection: Rc::clone(self),
        }
    }

    fn bytes_came(&self) {
        if !self.in_hand.get() && self.head_since.get().is_none() {
            self.head_since.set(Some(Instant::now()));
        }
    }

    fn bytes_went(&self) {
        if let Some(stuck) = self.stuck.get() {
            let moved = Instant::now();
            self.stuck.set(Some(Stuck { moved, ..stuck }));
        }
    }

    fn bytes_wait(&self) {
        if self.stuck.get().is_none() {
            let now = Instant::now();
            let (since, moved) = (now, now);
            self.stuck.set(Some(Stuck { since, moved }));
        }
    }

    /// All that was there for the client is taken. What it sent meanwhile had to wait, so that its time begins now.
    fn all_went(&self) {
        if self.stuck.take().is_some() && self.head_since.get().is_some() {
            self.head_since.set(Some(Instant::now()));
        }
    }

    /// When we have waited for the client for too long; none while we do not wait, or for what the framework guards.
    fn deadline(&self) -> Option<Instant> {
        let limits = &self.edge.limits;
        if let Some(Stuck { since, moved }) = self.stuck.get() {
            return Some((moved + limits.stall).min(since + limits.answer));
        }
        self.head_since.get().map(|since| since + limits.head)
    }
}

/// Does the work beside the request and in the place of it: a client that leaves takes its request away, and the work goes
/// on.
///
/// # Errors
/// Those of the work, and when it broke off.
pub async fn beside<T: 'static>(
    request: &HttpRequest,
    work: impl Future<Output = Result<T, Error>> + 'static,
) -> Result<T, Error> {
    let place = Connection::of(request)?.take_place();
    let done = rt::spawn(async move {
        let done = work.await;
        drop(place);
        done
    });
    let broken = |_| Error::new(Code::InternalError, "Ask for the user, then send it again.");
    done.await.map_err(broken)?
}

/// A request in our hands, until this is dropped.
pub struct InHand(Rc<Connection>);

impl InHand {
    /// Says that the head of the request is complete.
    ///
    /// # Errors
    /// As [`Connection::of`].
    pub fn begin(request: &HttpRequest) -> Result<InHand, Error> {
        let connection = Connection::of(request)?;
        connection.in_hand.set(true);
        connection.head_since.set(None);
        Ok(InHand(connection))
    }

    /// Takes a place among the requests in flight; false when there is none.
    pub fn takes_place(&self) -> bool {
        let place = Place::take(&self.0.edge);
        let taken = place.is_some();
        self.0.place.set(place);
        taken
    }

    /// How the key of the request stands, if it had a right one.
    pub fn standing(&self) -> Option<Standing> {
        self.0.standing.get()
    }

    /// How long it waited on purpose or for its body.
    pub fn rested(&self) -> Duration {
        self.0.rested.get()
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.set(false);
        self.0.place.set(None);
        self.0.standing.set(None);
        self.0.rested.set(Duration::ZERO);
    }
}

/// A request that waits and takes no place meanwhile.
pub struct Parked {
    connection: Rc<Connection>,
    had_place: bool,
    since: Instant,
}

impl Drop for Parked {
    fn drop(&mut self) {
        let rested = &self.connection.rested;
        rested.set(rested.get() + self.since.elapsed());
    }
}

impl Parked {
    /// Takes a place again, if it had one.
    ///
    /// # Errors
    /// When there is none now.
    pub fn resume(self) -> Result<(), Error> {
        if !self.had_place {
            return Ok(());
        }
        let place = Place::take(&self.connection.edge).ok_or_else(Error::overloaded)?;
        self.connection.place.set(Some(place));
        Ok(())
    }
}

/// The socket of a connection. It fails as soon as the client has kept us waiting for too long, which ends the connection.
pub struct Socket {
    stream: TcpStream,
    connection: Rc<Connection>,
    /// Rings at the deadline or before it, when it is set anew. It is not stopped when the client has done its part: to let
    /// it ring once in a while for nothing costs less than to set it for each request.
    alarm: Option<Pin<Box<Sleep>>>,
    refusing: Option<Box<Refusing>>,
}

/// The framework has refused what came. It ends the connection as soon as that is written, and if more has come meanwhile,
/// the system throws the answer away together with it. So the client is given time to take the answer.
struct Refusing {
    /// What is left of the answer.
    answer: Vec<u8>,
    /// Set when the answer is written and the client has so long to go.
    goodbye: Option<Pin<Box<Sleep>>>,
    waits: bool,
}

impl Socket {
    /// Wraps a socket that was just accepted.
    pub fn new(stream: TcpStream, edge: Rc<Edge>) -> Socket {
        let connection = Rc::new(Connection {
            edge,
            in_hand: Cell::new(false),
            place: Cell::new(None),
            standing: Cell::new(None),
            rested: Cell::new(Duration::ZERO),
            head_since: Cell::new(None),
            stuck: Cell::new(None),
        });
        Socket {
            stream,
            connection,
            alarm: None,
            refusing: None,
        }
    }

    /// What it shares with its requests.
    pub fn connection(&self) -> Rc<Connection> {
        Rc::clone(&self.connection)
    }

    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        match written {
            Poll::Pending => {
                self.connection.bytes_wait();
                return self.wait(cx);
            }
            Poll::Ready(Ok(_)) => self.connection.bytes_went(),
            Poll::Ready(Err(_)) => {}
        }
        written
    }

    /// Writes the refusal and waits until the client has gone or its time is over.
    fn refuse(&mut self, cx: &mut Context<'_>, refusing: &mut Refusing) -> Poll<io::Result<()>> {
        while !refusing.answer.is_empty() {
            let written = ready!(self.write(cx, &refusing.answer))?;
            refusing.answer.drain(..written);
        }
        self.connection.all_went();
        if !refusing.waits {
            return Poll::Ready(Ok(()));
        }
        if refusing.goodbye.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        let goodbye = refusing
            .goodbye
            .get_or_insert_with(|| Box::pin(sleep(GOODBYE)));
        let mut thrown_away = [MaybeUninit::uninit(); 4096];
        loop {
            if Pin::new(&mut unconstrained(goodbye.as_mut()))
                .poll(cx)
                .is_ready()
            {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::uninit(&mut thrown_away);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                refusing.waits = false;
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Pending, and awake again at the deadline; an error when it has passed.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let Some(deadline) = self.connection.deadline() else {
            return Poll::Pending;
        };
        let alarm = match &mut self.alarm {
            Some(alarm) if !alarm.is_elapsed() && alarm.deadline() <= deadline => {
                return Poll::Pending;
            }
            Some(alarm) => {
                alarm.as_mut().reset(deadline);
                alarm
            }
            None => self.alarm.insert(Box::pin(sleep_until(deadline))),
        };
        // Unconstrained, because a timer that yields for fairness is not set.
        let late = Pin::new(&mut unconstrained(alarm.as_mut())).poll(cx);
        late.map(|()| {
            if self.connection.stuck.get().is_some() {
                // What the system still holds for this client is not worth keeping.
                let _ = self.stream.set_zero_linger();
            }
            Err(io::ErrorKind::TimedOut.into())
        })
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        match read {
            Poll::Pending => return this.wait(cx),
            Poll::Ready(Ok(())) if buffer.filled().len() > before => this.connection.bytes_came(),
            Poll::Ready(_) => {}
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.refusing.is_none() {
            let Some(place) = refusal::begins_at(bytes) else {
                return this.write(cx, bytes);
            };
            let (before, refused) = bytes.split_at(place);
            if !before.is_empty() {
                return this.write(cx, before);
            }
            let Some((answer, code)) = refusal::answer(refused) else {
                return this.write(cx, bytes);
            };
            this.refusing = Some(Box::new(Refusing {
                answer,
                goodbye: None,
                // Who was too slow is not waited for any longer.
                waits: code != Code::RequestTimeout,
            }));
        }
        let Some(mut refusing) = this.refusing.take() else {
            return Poll::Ready(Ok(bytes.len()));
        };
        let refused = this.refuse(cx, &mut refusing);
        this.refusing = Some(refusing);
        refused.map_ok(|()| bytes.len())
    }

    /// The framework comes here whenever it has written all that it has.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.all_went();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
