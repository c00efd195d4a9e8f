//! A client that speaks HTTP by hand, for what no proper client does.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

/// Longer than anything that is waited for; a guard that is missing shows after this time.
pub const STUCK: Duration = Duration::from_secs(30);
/// How long a slow client waits before the next byte.
const DRIBBLE: Duration = Duration::from_millis(20);

/// The connection of such a client.
pub struct Wire(pub TcpStream);

impl Wire {
    /// To the service with that URL.
    pub async fn to(url: &str) -> Wire {
        let address = url.trim_start_matches("http://");
        Wire(TcpStream::connect(address).await.unwrap())
    }

    /// Sends these bytes.
    pub async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Sends these bytes, or as many of them as the service takes.
    pub async fn say_bytes(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    /// Sends these bytes and reads the head of the answer and a body of the length that it names.
    pub async fn ask(&mut self, text: &str) -> String {
        self.say(text).await;
        self.hear().await
    }

    /// Reads an answer.
    pub async fn hear(&mut self) -> String {
        let mut heard = self.head().await;
        let length = heard.to_lowercase();
        let length = length.split("content-length: ").nth(1).unwrap_or("0");
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        let read = timeout(STUCK, self.0.read_exact(&mut body)).await;
        read.expect("no answer").unwrap();
        heard.push_str(&String::from_utf8(body).unwrap());
        heard
    }

    /// Reads the head of an answer.
    pub async fn head(&mut self) -> String {
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n") {
            let byte = timeout(STUCK, self.0.read_u8()).await;
            heard.push(byte.expect("no answer").unwrap());
        }
        String::from_utf8(heard).unwrap()
    }

    /// Reads until the service has said this; answers all that was heard.
    pub async fn until(&mut self, text: &str) -> String {
        let mut heard = Vec::new();
        let said = async {
            while !heard.ends_with(text.as_bytes()) {
                heard.push(self.0.read_u8().await.unwrap());
            }
        };
        // In all, since what is not said may be silence with signs of life in it.
        timeout(STUCK, said).await.expect("it is not said");
        String::from_utf8(heard).unwrap()
    }

    /// Reads until the service ends the connection; fails when it does not.
    pub async fn end(&mut self) -> String {
        let mut heard = Vec::new();
        let end = timeout(STUCK, self.0.read_to_end(&mut heard)).await;
        let _ = end.expect("the connection is still open");
        String::from_utf8(heard).unwrap()
    }

    /// Sends the text again and again, a byte at a time, until the service ends the connection; fails when it does not.
    pub async fn dribble(mut self, text: &str) -> String {
        let (mut hear, mut say) = self.0.split();
        let dribbling = async {
            let mut pause = interval(DRIBBLE);
            for byte in text.bytes().cycle() {
                pause.tick().await;
                if say.write_all(&[byte]).await.is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await
        };
        let mut heard = Vec::new();
        let end = async {
            tokio::select! {
                _ = hear.read_to_end(&mut heard) => {}
                () = dribbling => {}
            }
        };
        let end = timeout(STUCK, end).await;
        end.expect("the connection is still open");
        String::from_utf8(heard).unwrap()
    }
}
