//! Several answers to one call: as many calls within, their events merged into one stream.
//!
//! The prompt is computed once all the same: calls that begin alike wait for the one that
//! computes it and share its cells (`scheduler/admit`). All are begun at once and read as
//! they speak, since one that is not read pauses and keeps its slot from the others.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use message::{Chat, ErrorKind, Event, EventStream, Failure, Usage};

/// Most answers to one call. OpenAI's limit is 128, Gemini's 8; each takes a place, which
/// others may be waiting for.
const MAX_CHOICES: u32 = 16;

/// Refuses more answers than a model with so many places gives.
pub(crate) fn check(wanted: u32, places: usize) -> Result<(), Failure> {
    let most = MAX_CHOICES.min(u32::try_from(places).unwrap_or(u32::MAX));
    if wanted <= most {
        return Ok(());
    }
    let message = format!("n: a model served here gives at most {most} answers to one call, not {wanted}");
    Err(Failure::unsupported(message).with_param("n"))
}

/// What one of a call's answers is asked with: the first with the client's seed, each
/// further one with the next.
pub(crate) fn one(chat: &Chat, choice: u32) -> Cow<'_, Chat> {
    if chat.choices <= 1 {
        return Cow::Borrowed(chat);
    }
    let mut one = chat.clone();
    one.choices = 1;
    one.sampling.seed = chat.sampling.seed.map(|seed| seed.wrapping_add(choice.into()));
    Cow::Owned(one)
}

/// The answers to one call. Dropping it cancels all that are under way.
pub(crate) struct Choices {
    choices: Vec<Choice>,
    /// Whose turn it is to be heard first.
    next: usize,
    /// Awaited before there was anybody to hear it.
    first: Option<Event>,
}

struct Choice {
    state: State,
    usage: Usage,
    finished: bool,
}

enum State {
    Beginning(Pin<Box<dyn Future<Output = Result<EventStream, Failure>> + Send>>),
    Speaking(EventStream),
    Over,
}

impl Choices {
    /// Begins all answers, and waits for the first event of any: what fails before it fails
    /// the call.
    pub(crate) async fn begin<F>(answers: impl Iterator<Item = F>) -> Result<Self, Failure>
    where
        F: Future<Output = Result<EventStream, Failure>> + Send + 'static,
    {
        let choice = |answer| Choice {
            state: State::Beginning(Box::pin(answer)),
            usage: Usage::default(),
            finished: false,
        };
        let mut merged = Self { choices: answers.map(choice).collect(), next: 0, first: None };
        merged.first = std::future::poll_fn(|context| merged.poll_event(context)).await.transpose()?;
        Ok(merged)
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Event, Failure>>> {
        let count = self.choices.len();
        let mut over = 0;
        for turn in 0..count {
            let index = (self.next + turn) % count;
            match self.choices[index].poll_event(context) {
                Poll::Pending => {}
                Poll::Ready(None) => over += 1,
                Poll::Ready(Some(Ok(event))) => {
                    self.next = (index + 1) % count;
                    return Poll::Ready(Some(Ok(self.tagged(index, event))));
                }
                Poll::Ready(Some(Err(failure))) => {
                    // What is left of the others would be no answer to the call.
                    self.choices.clear();
                    return Poll::Ready(Some(Err(failure)));
                }
            }
        }
        if over == count { Poll::Ready(None) } else { Poll::Pending }
    }

    fn tagged(&mut self, index: usize, event: Event) -> Event {
        match event {
            Event::Usage(usage) => {
                self.choices[index].usage = usage;
                Event::Usage(total(self.choices.iter().map(|choice| choice.usage)))
            }
            event if index == 0 => event,
            // There are few.
            event => Event::Choice { index: index as u32, event: Box::new(event) },
        }
    }
}

impl Choice {
    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Event, Failure>>> {
        loop {
            let item = match &mut self.state {
                State::Over => return Poll::Ready(None),
                State::Beginning(answer) => match std::task::ready!(answer.as_mut().poll(context)) {
                    Ok(events) => {
                        self.state = State::Speaking(events);
                        continue;
                    }
                    Err(failure) => Some(Err(failure)),
                },
                State::Speaking(events) => std::task::ready!(events.as_mut().poll_next(context)),
            };
            self.finished |= matches!(item, Some(Ok(Event::Finish { .. })));
            if !matches!(item, Some(Ok(_))) {
                self.state = State::Over;
            }
            // An answer that was cut must not pass for a whole one because another is.
            return Poll::Ready(if item.is_none() && !self.finished { Some(Err(cut())) } else { item });
        }
    }
}

impl Stream for Choices {
    type Item = Result<Event, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.first.take() {
            Some(event) => Poll::Ready(Some(Ok(event))),
            None => self.poll_event(context),
        }
    }
}

/// The prompt once, as for the answer that found least of it in the cache, and all that
/// was said.
fn total(answers: impl Iterator<Item = Usage>) -> Usage {
    answers.fold(Usage::default(), |total, one| {
        let prompt =
            if one.input_tokens > total.input_tokens || total.total_input() == 0 { one } else { total };
        Usage {
            output_tokens: total.output_tokens + one.output_tokens,
            reasoning_tokens: total.reasoning_tokens + one.reasoning_tokens,
            ..prompt
        }
    })
}

fn cut() -> Failure {
    Failure::new(ErrorKind::Internal, "one of the answers ended before it was whole; send the request again")
}

#[cfg(test)]
mod tests;
