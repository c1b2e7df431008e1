//! Replies to an interaction.

use agis_test_support::wait;
use serde_json::Value;

use crate::observe::PATIENCE;
use crate::state::{Interaction, State};
use crate::{Discord, Message, Person, Refusal};

/// The type of an answer that opens a modal.
const MODAL: u64 = 9;

/// The bot's answer to an interaction; it changes as the bot edits it.
#[derive(Debug, Clone)]
pub struct Reply {
    discord: Discord,
    id: u64,
}

impl Reply {
    pub(crate) fn new(discord: Discord, id: u64) -> Self {
        Self { discord, id }
    }

    fn look<T>(&self, read: impl FnOnce(&State, &Interaction) -> Option<T>) -> Option<T> {
        self.discord.hub.look(|state| read(state, state.interactions.get(&self.id)?))
    }

    /// The interaction's id.
    #[must_use]
    pub fn interaction(&self) -> u64 {
        self.id
    }

    /// Whether it was not answered in time: the person reads "The application did not respond".
    #[must_use]
    pub fn late(&self) -> bool {
        self.look(|_, interaction| Some(interaction.is_late())).unwrap_or(true)
    }

    /// Fills in the modal that answers, by the labels of its fields, and sends it. Other fields keep what they had.
    ///
    /// # Errors
    /// Fails if no modal was opened, or Discord's client would not send it.
    pub async fn try_submit(&self, person: &Person, filled: &[(&str, &str)]) -> Result<Self, Refusal> {
        let modal = self.modal().ok_or_else(|| Refusal::new("no modal was opened"))?;
        let source = self.look(|_, interaction| interaction.source);
        self.discord.submit(person, &modal, source, filled).await
    }

    /// The type of the first answer, as Discord counts them: 4 a message, 5 a deferral, 6 and 7 the same for the message
    /// whose button was pressed, 8 suggestions, 9 a modal.
    #[must_use]
    pub fn kind(&self) -> Option<u64> {
        self.look(|_, interaction| interaction.answer.as_ref().map(|answer| answer.kind))
    }

    pub(crate) fn data(&self) -> Option<Value> {
        self.look(|_, interaction| interaction.answer.as_ref().map(|answer| answer.data.clone()))
    }

    /// The modal that answers.
    #[must_use]
    pub fn modal(&self) -> Option<Value> {
        self.data().filter(|_| self.kind() == Some(MODAL))
    }

    /// The labels of the modal that answers.
    #[must_use]
    pub fn fields(&self) -> Vec<String> {
        let labels = self.modal().and_then(|modal| modal["components"].as_array().cloned()).unwrap_or_default();
        labels.iter().filter_map(|label| label["label"].as_str()).map(ToOwned::to_owned).collect()
    }

    /// The message that answers, as it is now.
    #[must_use]
    pub fn message(&self) -> Option<Message> {
        self.look(|state, interaction| state.message(interaction.original?).cloned())
    }

    /// Returns the follow-up messages in their current state.
    #[must_use]
    pub fn follow_ups(&self) -> Vec<Message> {
        let ups = self.look(|state, interaction| {
            Some(interaction.follow_ups.iter().filter_map(|id| state.message(*id)).cloned().collect())
        });
        ups.unwrap_or_default()
    }

    /// The message that answers, and what came after it.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.message().into_iter().chain(self.follow_ups()).collect()
    }

    /// All that can be read in the answer and what came after it.
    #[must_use]
    pub fn text(&self) -> String {
        self.messages().iter().map(Message::text).collect::<Vec<_>>().join("\n")
    }

    /// Whether nobody else sees the answer.
    #[must_use]
    pub fn ephemeral(&self) -> bool {
        self.message().is_some_and(|message| message.is_ephemeral())
    }

    /// Waits for a message, the answer or one that came after it, that fits.
    ///
    /// # Panics
    /// When there is none within half a minute; the panic shows what there is.
    pub async fn until(&self, what: &str, fits: impl Fn(&Message) -> bool) -> Message {
        let found = self.discord.hub.wait(PATIENCE, |_| {
            self.look(|state, interaction| {
                let ids = interaction.original.iter().chain(&interaction.follow_ups);
                ids.filter_map(|id| state.message(*id)).find(|message| fits(message)).cloned()
            })
        });
        found.await.unwrap_or_else(|| panic!("waited in vain for {what}; there is:\n{}", self.text()))
    }

    /// Waits for the answer that a deferral promises.
    ///
    /// # Panics
    /// When it does not come within half a minute.
    pub async fn answered(&self) -> Message {
        self.until("the answer", |message| !message.is_loading()).await
    }

    /// Waits until the answer is deleted.
    ///
    /// # Panics
    /// When it is not within half a minute.
    pub async fn deleted(&self) {
        wait::until(PATIENCE, "the answer to go", async || self.message().is_none().then_some(())).await;
    }

    /// Presses a button of the answer or of what came after it, by its label or its `custom_id`.
    ///
    /// # Panics
    /// Panics if there is no such button, the person does not see it, or it is disabled.
    pub async fn press(&self, person: &Person, button: &str) -> Reply {
        let has = |message: &Message| {
            message.controls().iter().any(|control| control["label"] == button || control["custom_id"] == button)
        };
        match self.messages().iter().find(|message| has(message)) {
            Some(message) => self.discord.press(person, message, button).await,
            None => panic!("no button `{button}` in:\n{}", self.text()),
        }
    }
}
