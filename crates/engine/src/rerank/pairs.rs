//! From a request to rerank to tokens: everything that can be refused is refused here,
//! before the model does any work.

use message::{ErrorKind, Failure, Rerank};

use crate::backend::Input;
use crate::embed::{Job, Wanted, Words};
use crate::outlet::Outlet;

/// Most documents of one call (Bedrock's limit, and what Cohere advises): each is computed
/// with the query, so a call may take minutes.
const MAX_DOCUMENTS: usize = 1000;

/// What it takes to read requests for one model.
pub(crate) struct Pairs {
    pub(crate) words: Words,
}

impl Pairs {
    /// Makes a job of a request, whose ranking goes out by `events`.
    pub(crate) fn prepare(&self, rerank: &Rerank, events: Outlet) -> Result<Job, Failure> {
        let inputs = self.read(rerank)?;
        let top_n = rerank.top_n.map(|top_n| top_n as usize);
        Ok(Job { inputs, wanted: Wanted::Ranking { top_n }, events })
    }

    /// The query with each of the documents. A document that is too long loses its end:
    /// that is what training did, and what every interface for it expects.
    fn read(&self, rerank: &Rerank) -> Result<Vec<Input>, Failure> {
        rerank.leave_home()?;
        if rerank.query.trim().is_empty() {
            return Err(Failure::invalid_field("query", "is empty"));
        }
        let count = rerank.documents.len();
        if count == 0 {
            return Err(Failure::invalid_field("documents", "there is nothing to order"));
        }
        if count > MAX_DOCUMENTS {
            let why =
                format!("{count} are too many: at most {MAX_DOCUMENTS} in one call; send them in several");
            return Err(Failure::invalid_field("documents", why));
        }
        if rerank.top_n == Some(0) {
            return Err(Failure::invalid_field("top_n", "must be above 0"));
        }
        let (before, after) = self.words.model.around();
        let between = self.words.model.between();
        let query = [before, &self.query(&rerank.query)?, &between].concat();
        let room = self.words.max_tokens.saturating_sub(query.len() + after.len());
        let pair = |text: &str| {
            let mut document = self.words.tokens(self.words.start(text));
            document.truncate(room);
            Input { tokens: [&query, &document, after].concat(), first: query.len() }
        };
        Ok(rerank.documents.iter().map(|document| pair(&document.text())).collect())
    }

    /// The query's tokens. It is never cut; and where it leaves documents less than half of
    /// what the model takes, it is refused.
    fn query(&self, query: &str) -> Result<Vec<u32>, Failure> {
        let most = self.words.max_tokens / 2;
        let too_long = |tokens: String| {
            let why = format!(
                "query: its {tokens} tokens are more than half of the {} this model takes of query and document \
                 together; shorten it",
                self.words.max_tokens
            );
            Err(Failure::new(ErrorKind::ContextOverflow, why).with_param("query"))
        };
        let at_least = self.words.at_least(query);
        if at_least > most {
            return too_long(format!("at least {at_least}"));
        }
        let tokens = self.words.tokens(query);
        if tokens.len() > most { too_long(tokens.len().to_string()) } else { Ok(tokens) }
    }
}
