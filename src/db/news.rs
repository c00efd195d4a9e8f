//! Who is woken when something has been committed, so that nobody who waits for a change has to ask again and again.
//!
//! The queries that change a user note it, the thread that writes takes the notes of each change that held, and after
//! the commit it wakes whoever listens. What other processes write wakes nobody.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::users::User;

/// What can be listened for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A change of the user with that key that readers can see.
    User(String),
    /// A change of any user of that partner.
    Partner(String),
}

thread_local! {
    /// What was noted on this thread; kept on the one that writes and nowhere else.
    static NOTED: RefCell<Option<Vec<Topic>>> = const { RefCell::new(None) };
}

/// Takes note of a change of the user that readers will see once it is committed.
pub(super) fn note(user: &User) {
    NOTED.with_borrow_mut(|noted| {
        if let Some(noted) = noted {
            noted.push(Topic::User(user.id.clone()));
            noted.push(Topic::Partner(user.partner.clone()));
        }
    });
}

/// Begins to keep what is noted on this thread.
pub(super) fn begin_to_note() {
    NOTED.set(Some(Vec::new()));
}

/// What was noted on this thread since this was last asked.
pub(super) fn noted() -> Vec<Topic> {
    NOTED.with_borrow_mut(|noted| noted.as_mut().map(std::mem::take).unwrap_or_default())
}

/// Those who listen; clones share them.
#[derive(Clone, Default)]
pub struct News(Arc<Mutex<HashMap<Topic, Listened>>>);

#[derive(Default)]
struct Listened {
    sender: watch::Sender<()>,
    listeners: usize,
}

impl News {
    /// Listens from now on. Whoever then reads misses nothing: it was committed before and is read, or will wake.
    pub fn listen(&self, topic: Topic) -> Listener {
        let mut topics = self.lock();
        let listened = topics.entry(topic.clone()).or_default();
        listened.listeners += 1;
        Listener {
            changed: listened.sender.subscribe(),
            topic,
            news: self.clone(),
        }
    }

    /// How many topics are listened for.
    pub(super) fn topics(&self) -> usize {
        self.lock().len()
    }

    /// Wakes whoever listens for one of these.
    pub(super) fn tell(&self, topics: Vec<Topic>) {
        let listened = self.lock();
        if listened.is_empty() {
            return;
        }
        for topic in topics {
            if let Some(listened) = listened.get(&topic) {
                listened.sender.send_replace(());
            }
        }
    }

    /// Nothing is changed in two steps that could panic between, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, HashMap<Topic, Listened>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who listens, until dropped.
pub struct Listener {
    changed: watch::Receiver<()>,
    topic: Topic,
    news: News,
}

impl Listener {
    /// Returns when there is news since this was last called, or since the beginning.
    pub async fn news(&mut self) {
        // The sender is there for as long as anybody listens.
        let _ = self.changed.changed().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut topics = self.news.lock();
        let Some(listened) = topics.get_mut(&self.topic) else {
            return;
        };
        listened.listeners -= 1;
        if listened.listeners == 0 {
            topics.remove(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn topic(name: &str) -> Topic {
        Topic::User(name.to_owned())
    }

    #[test]
    fn whoever_listens_is_woken_by_its_own_topic_and_once() {
        let news = News::default();
        let (mut a, mut b) = (news.listen(topic("a")), news.listen(topic("b")));
        let mut again = news.listen(topic("a"));
        assert!(a.news().now_or_never().is_none());
        news.tell(vec![topic("a"), topic("a"), topic("c")]);
        assert!(a.news().now_or_never().is_some());
        assert!(a.news().now_or_never().is_none());
        assert!(again.news().now_or_never().is_some());
        assert!(b.news().now_or_never().is_none());
    }

    #[test]
    fn nothing_is_kept_of_who_does_not_listen_any_more() {
        let news = News::default();
        let (first, second) = (news.listen(topic("a")), news.listen(topic("a")));
        drop(first);
        assert_eq!(news.lock().len(), 1);
        drop(second);
        assert_eq!(news.lock().len(), 0);
    }
}
