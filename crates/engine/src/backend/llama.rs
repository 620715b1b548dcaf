//! llama.cpp through `llama-cpp-2` 0.1.160: loading a model, its vocabulary, and steps.

use std::io::Read;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use llama_cpp_2::DecodeError;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::{KvCacheType, LlamaContextParams};
use llama_cpp_2::context::session::LlamaStateSeqFlags;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::{LlamaModelParams, LlamaSplitMode};
use llama_cpp_2::token::LlamaToken;
use llama_cpp_sys_2 as sys;

use super::adapters::Adapters;
use super::cells::{Cells, Group};
use super::hardware::{self, Choice};
use super::pieces::{Cut, pieces};
use super::rows::Rows;
use super::{Backend, BatchToken, GpuSplit, MICRO_BATCH, Positions, SequenceId, StepError, log};
use crate::tools::MARKS;
use crate::vision::{Gallery, is_pseudo};
use crate::vocabulary::{Token, Tokenize, Vocabulary};
use crate::{Adapter, Config, LoadError};

/// A model's weights and vocabulary, memory-mapped and immutable: shared by the thread
/// that computes and by the callers' tasks that cut prompts into tokens.
pub(crate) struct LoadedModel {
    backend: &'static LlamaBackend,
    model: LlamaModel,
    /// What computes it.
    choice: Choice,
    adapters: Adapters,
    vocabulary: Arc<Vocabulary>,
    /// The tokens of an empty input.
    around: OnceLock<Vec<Token>>,
    /// The rows of the images that calls show it.
    gallery: Arc<Gallery>,
}

impl LoadedModel {
    /// Maps the file at `path` and reads its adapters; `progress` hears how far that is, 0 to 1.
    pub(crate) fn open(
        path: &Path,
        config: &Config,
        adapters: &[Adapter],
        mut progress: impl FnMut(f32) + 'static,
    ) -> Result<Self, LoadError> {
        check_magic(path)?;
        let backend = hardware::start(config)?;
        let choice = hardware::place(path, config)?;
        log::clear_last_error();
        let failed = |why: String| {
            let at =
                if choice.layers > 0 { format!(" ({}: {})", choice.what, choice.why) } else { String::new() };
            LoadError::Model { path: path.to_owned(), reason: format!("{why}{at}") }
        };
        let params = LlamaModelParams::default()
            .with_n_gpu_layers(choice.layers)
            .with_split_mode(match config.gpu_split {
                GpuSplit::Layer => LlamaSplitMode::Layer,
                GpuSplit::Row => LlamaSplitMode::Row,
            })
            // None are named on a processor: llama.cpp would have a GPU help with prompts.
            .with_devices(&choice.devices)
            .map_err(|error| failed(error.to_string()))?;
        let params = params.with_progress_callback(move |done| {
            progress(done);
            true
        });
        let mut model =
            LlamaModel::load_from_file(backend, path, &params).map_err(|_| failed(log::last_error()))?;
        let adapters = Adapters::load(&mut model, adapters)?;
        let vocabulary = Arc::new(read_vocabulary(&model));
        let gallery = Arc::new(Gallery::new(input_width(&model), (config.images_mib as usize) << 20));
        Ok(Self { backend, model, choice, adapters, vocabulary, around: OnceLock::new(), gallery })
    }

    /// Makes a context of it.
    pub(super) fn context(
        &self,
        params: LlamaContextParams,
        tokens: u32,
    ) -> Result<LlamaContext<'_>, LoadError> {
        log::clear_last_error();
        self.model.new_context(self.backend, params).map_err(|_| {
            let at = if self.on_gpu() { format!(" ({})", self.choice.what) } else { String::new() };
            LoadError::Context { context_tokens: tokens, reason: format!("{}{at}", log::last_error()) }
        })
    }

    /// What computes it, and why that was chosen, in words.
    pub(crate) fn computed_on(&self) -> (&str, &str) {
        (&self.choice.what, &self.choice.why)
    }

    /// For contexts made through llama.cpp's own interface.
    pub(super) fn raw(&self) -> &LlamaModel {
        &self.model
    }

    /// A GPU computes some of it: kernels there take any number of tokens at once.
    pub(super) fn on_gpu(&self) -> bool {
        self.choice.layers > 0
    }

    /// The same, for llama.cpp's C interface.
    pub(super) fn pointer(&self) -> *const sys::llama_model {
        pointer(&self.model)
    }

    /// Numbers in what stands for a token when it is computed.
    pub(super) fn input_width(&self) -> usize {
        input_width(&self.model)
    }

    /// The rows of the images that calls show it.
    pub(crate) fn gallery(&self) -> &Arc<Gallery> {
        &self.gallery
    }

    /// The vocabulary.
    pub(crate) fn vocabulary(&self) -> &Arc<Vocabulary> {
        &self.vocabulary
    }

    /// A value of the file's metadata, as text.
    pub(crate) fn metadata(&self, key: &str) -> Option<String> {
        self.model.meta_val_str(key).ok()
    }

    /// The chat template of that name; `None`: the default one.
    pub(crate) fn chat_template(&self, name: Option<&str>) -> Option<String> {
        self.model.chat_template(name).ok()?.to_string().ok()
    }

    /// Tokens the model was trained to hold in mind.
    pub(crate) fn context_length(&self) -> u32 {
        self.model.n_ctx_train()
    }

    /// How the file says that tokens are pooled into one vector, in llama.cpp's numbers
    /// (0: they are not); `None`: it does not say.
    pub(crate) fn pooling(&self) -> Option<u32> {
        let architecture = self.metadata("general.architecture")?;
        self.metadata(&format!("{architecture}.pooling_type"))?.parse().ok()
    }

    /// Made for embeddings: the file says how to pool, or it is an encoder.
    pub(crate) fn embeds(&self) -> bool {
        self.pooling().map_or_else(|| self.encodes(), |pooling| pooling > 0)
    }

    /// It sees a text whole, and does not go on with it.
    pub(crate) fn encodes(&self) -> bool {
        const ENCODERS: [&str; 3] = ["bert", "gemma-embedding", "eurobert"];
        let architecture = self.metadata("general.architecture").unwrap_or_default();
        ENCODERS.iter().any(|encoder| architecture.contains(encoder))
    }

    /// Made to score a text against a query.
    pub(crate) fn ranks(&self) -> bool {
        const RANK: u32 = 4;
        self.pooling() == Some(RANK)
    }

    /// Numbers that its classifier makes of a text.
    pub(crate) fn labels(&self) -> u32 {
        self.model.n_cls_out()
    }

    /// Scores pairs of texts, and was taught which token is of which: BERT with BERT's own
    /// tokenizer. RoBERTa and its kin have vectors of one kind only.
    pub(super) fn tells_segments(&self) -> bool {
        let says = |key: &str, value: &str| self.metadata(key).as_deref() == Some(value);
        let kinds =
            self.metadata("tokenizer.ggml.token_type_count").and_then(|count| count.parse::<u32>().ok());
        self.ranks()
            && says("general.architecture", "bert")
            && self.splits_words_as_bert()
            && kinds.is_some_and(|kinds| kinds >= 2)
    }

    /// Its tokenizer is BERT's own.
    pub(crate) fn splits_words_as_bert(&self) -> bool {
        self.metadata("tokenizer.ggml.model").as_deref() == Some("bert")
    }

    /// What it remembers of a text is one thing per token, which other texts with the same
    /// beginning can use. Not so if it is recurrent, in part or all, or if layers look back
    /// through a sliding window: llama.cpp reuses the cells behind the window.
    pub(crate) fn remembers_tokens(&self) -> bool {
        let window = || {
            let architecture = self.metadata("general.architecture").unwrap_or_default();
            self.metadata(&format!("{architecture}.attention.sliding_window")).is_some_and(|size| size != "0")
        };
        !(self.model.is_recurrent() || self.model.is_hybrid() || window())
    }

    /// Numbers in an embedding.
    pub(crate) fn embedding_length(&self) -> u32 {
        self.model.n_embd_out().unsigned_abs()
    }

    /// The tokens of plain words, without any that go around them.
    pub(crate) fn tokenize_words(&self, text: &str) -> Vec<Token> {
        self.tokenize(text, false)
    }

    /// The tokens that go before and after every input of an embedding model.
    pub(crate) fn around(&self) -> (&[Token], &[Token]) {
        let around = self.around.get_or_init(|| {
            let tokens = self.model.vocab().tokenize(b"", true, false);
            tokens.into_iter().map(|token| token.0.cast_unsigned()).collect()
        });
        let begins = around.first() == u32::try_from(self.model.vocab().bos().0).ok().as_ref();
        around.split_at(usize::from(begins))
    }

    /// The tokens between the two texts of a pair: those that end the first, and for most
    /// tokenizers but BERT's one more (RoBERTa's `</s></s>`).
    pub(crate) fn between(&self) -> Vec<Token> {
        let vocab = self.model.vocab();
        let mut between = self.around().1.to_vec();
        if !self.splits_words_as_bert() && vocab.should_add_sep() {
            between.extend(u32::try_from(vocab.sep().0));
        }
        between
    }

    /// The weights, in bytes.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.model.size()
    }

    /// The number of parameters.
    pub(crate) fn parameters(&self) -> u64 {
        self.model.n_params()
    }
}

impl Tokenize for LoadedModel {
    fn tokenize(&self, text: &str, special: bool) -> Vec<Token> {
        let tokens = self.model.vocab().tokenize(text.as_bytes(), false, special);
        tokens.into_iter().map(|token| token.0.cast_unsigned()).collect()
    }
}

fn pointer(model: &LlamaModel) -> *const sys::llama_model {
    // SAFETY: the wrapper is `repr(transparent)` over a pointer that is never null.
    unsafe { *std::ptr::from_ref(model).cast::<*const sys::llama_model>() }
}

fn input_width(model: &LlamaModel) -> usize {
    // SAFETY: the model is alive.
    let width = unsafe { sys::llama_model_n_embd_inp(pointer(model)) };
    usize::try_from(width).unwrap_or(0)
}

/// llama.cpp's parser is not made for garbage; a wrong file is caught before it.
pub(super) fn check_magic(path: &Path) -> Result<(), LoadError> {
    let read = |source| LoadError::Read { path: path.to_owned(), source };
    let mut magic = [0; 4];
    match std::fs::File::open(path).map_err(read)?.read_exact(&mut magic) {
        Ok(()) if &magic == b"GGUF" => Ok(()),
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(read(error)),
        _ => Err(LoadError::NotGguf { path: path.to_owned() }),
    }
}

fn read_vocabulary(model: &LlamaModel) -> Vocabulary {
    let vocab = model.vocab();
    let mut all = Vocabulary::default();
    let mut piece = Vec::with_capacity(64);
    for token in vocab.tokens() {
        piece.clear();
        vocab.token_to_piece_into(token, &mut piece, false, None);
        if vocab.is_control(token) {
            let written = String::from_utf8(vocab.token_to_piece(token, true, None)).unwrap_or_default();
            if MARKS.contains(&written.as_str()) {
                piece.extend_from_slice(written.as_bytes());
            }
            if !written.is_empty() {
                all.control.push((token.0.cast_unsigned(), written));
            }
        }
        all.push(&piece, vocab.is_eog(token));
    }
    let written = |token: LlamaToken| match token.0 {
        // llama.cpp's "there is none".
        -1 => String::new(),
        _ => String::from_utf8_lossy(&vocab.token_to_piece(token, true, None)).into_owned(),
    };
    let valid = |token: LlamaToken| u32::try_from(token.0).ok();
    all.prompt_start = valid(vocab.bos()).filter(|_| vocab.should_add_bos());
    all.bos = written(vocab.bos());
    all.eos = written(vocab.eos());
    all.primary_eos = valid(vocab.eot()).or(valid(vocab.eos())).unwrap_or_default();
    all
}

/// A model's context: the KV cache and the buffers of computation. Belongs to one thread.
pub(crate) struct Llama<'m> {
    /// Computes rows of images; needs the context after it.
    rows: Rows,
    gallery: Arc<Gallery>,
    context: LlamaContext<'m>,
    adapters: &'m Adapters,
    batch: LlamaBatch<'static>,
    /// What it remembers is one thing per token.
    shares: bool,
    /// A sequence of no call, through which parts of others are saved and restored.
    passage: SequenceId,
    /// One for the cells that nobody holds, until others are moved over them.
    attic: SequenceId,
    /// Who holds which cell, where that is looked after.
    cells: Option<Cells>,
    /// How many cells may be held: the others are for those that nobody does.
    context_tokens: usize,
    /// Where a step is cut into pieces.
    cut: Cut,
    /// Logits of all pieces of the last step but the last one, which the context holds:
    /// the places in the batch, and the logits one after the other.
    early: (Vec<usize>, Vec<f32>),
    /// Where in the batch that last piece began.
    last: usize,
}

impl<'m> Llama<'m> {
    /// Makes the context. Two contexts of one model must not be made at once; a model
    /// has one thread here, so they never are.
    pub(crate) fn new(model: &'m LoadedModel, config: &Config) -> Result<Self, LoadError> {
        let threads = config.threads();
        let threads = i32::try_from(threads).unwrap_or(i32::MAX);
        let step_tokens = step_tokens(config);
        let shares = model.remembers_tokens();
        let spare = if shares && !model.on_gpu() { config.spare_tokens() } else { 0 };
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(config.context_tokens + spare))
            .with_n_batch(step_tokens)
            .with_n_ubatch(step_tokens.min(MICRO_BATCH))
            .with_n_seq_max(config.sequences() + 2)
            .with_n_threads(threads)
            .with_n_threads_batch(threads)
            // Without it each sequence would own a fixed share of the cache.
            .with_kv_unified(true)
            .with_type_v(value_type(model, config))
            .with_no_perf(true);
        let context = model.context(params, config.context_tokens)?;
        let batch = LlamaBatch::new(step_tokens as usize, 1);
        let size = context.n_ctx() as usize;
        let rows = Rows::new(&context, model).ok_or_else(|| LoadError::Context {
            context_tokens: config.context_tokens,
            reason: "its address is not known".to_owned(),
        })?;
        Ok(Self {
            rows,
            gallery: Arc::clone(&model.gallery),
            context,
            adapters: &model.adapters,
            batch,
            shares,
            passage: config.sequences(),
            attic: config.sequences() + 1,
            cells: (spare > 0).then(|| Cells::new(size)),
            context_tokens: size - spare as usize,
            cut: cut(model, config),
            early: Default::default(),
            last: 0,
        })
    }

    /// Lets so many new cells follow the last one, if there is room at all.
    fn make_room(&mut self, cells: usize) {
        if self.cells.as_ref().is_some_and(|held| held.wasteful() || (held.dead() > 0 && !held.fit(cells))) {
            self.compact();
        }
    }

    /// From the first to the last, dead ones among them.
    #[cfg(test)]
    pub(super) fn cells_in_use(&self) -> usize {
        self.cells.as_ref().map_or(0, Cells::in_use)
    }

    /// Moves cells over those that nobody holds. Panics if llama.cpp does not take back what
    /// it gave: texts would lack cells, and only a new worker has none that do.
    fn compact(&mut self) {
        self.free(self.attic, 0..u32::MAX);
        let groups = self.cells.as_mut().map(Cells::compact).unwrap_or_default();
        for Group { holders, positions } in groups {
            let first = holders.first().expect("what is moved is held");
            let state = self.bytes(first, positions.clone()).expect("llama.cpp reads its own cells");
            for holder in holders.iter() {
                self.free(holder, positions.clone());
            }
            assert!(self.bring_back(&state), "cells that were free a moment ago are");
            for holder in holders.iter() {
                self.share(self.passage, holder, positions.clone());
            }
            self.free(self.passage, 0..u32::MAX);
        }
    }

    /// Takes a stretch out of a sequence; what nobody else holds is free.
    fn free(&mut self, sequence: SequenceId, positions: Positions) {
        let end = Some(positions.end).filter(|&end| end != u32::MAX);
        // Part of a sequence can always be removed where `shares` holds, and the whole
        // of it anywhere.
        let _ = self.context.clear_kv_cache_seq(Some(sequence), Some(positions.start), end);
    }

    fn share(&mut self, from: SequenceId, to: SequenceId, positions: Positions) {
        let (from, to) = (from.cast_signed(), to.cast_signed());
        // Fails only for positions beyond i32, which no context holds.
        let end = i32::try_from(positions.end).ok().map(i32::cast_unsigned);
        let _ = self.context.copy_kv_cache_seq(from, to, Some(positions.start), end);
    }

    /// A stretch of a sequence as bytes.
    fn bytes(&mut self, sequence: SequenceId, positions: Positions) -> Option<Vec<u8>> {
        let whole = LlamaStateSeqFlags::empty();
        self.share(sequence, self.passage, positions);
        let passage = self.passage.cast_signed();
        let mut state = vec![0; self.context.state_seq_get_size_ext(passage, whole)];
        // SAFETY: the buffer is as large as llama.cpp has just said that the state is, and
        // nothing was computed in between.
        let written = unsafe { self.context.state_seq_get_data_ext(state.as_mut_ptr(), passage, whole) };
        self.free(self.passage, 0..u32::MAX);
        (written == state.len()).then_some(state)
    }

    /// Puts such bytes into new cells, held by the passage.
    fn bring_back(&mut self, state: &[u8]) -> bool {
        let (passage, whole) = (self.passage.cast_signed(), LlamaStateSeqFlags::empty());
        // SAFETY: the bytes come from `bytes` of a context of the same model and shape:
        // they are kept in memory that nobody else writes to.
        unsafe { self.context.state_seq_set_data_ext(state, passage, whole) }
    }

    /// Computes a piece of a step.
    fn compute(&mut self, piece: &[BatchToken]) -> Result<(), StepError> {
        if let Some(first) = piece.first() {
            self.adapters.apply(&mut self.context, first.adapter)?;
        }
        match piece.first().is_some_and(|first| is_pseudo(first.token)) {
            true => self.rows.compute(piece, &self.gallery)?,
            false => self.compute_tokens(piece)?,
        }
        if let Some(cells) = &mut self.cells {
            piece.iter().for_each(|entry| cells.push(entry.sequence, entry.position));
        }
        Ok(())
    }

    fn compute_tokens(&mut self, piece: &[BatchToken]) -> Result<(), StepError> {
        self.batch.clear();
        for entry in piece {
            let token = LlamaToken(entry.token.cast_signed());
            let sequence = [entry.sequence.cast_signed()];
            self.batch
                .add(token, entry.position.cast_signed(), &sequence, entry.logits)
                .map_err(|_| StepError::NoRoom)?;
        }
        self.context.decode(&mut self.batch).map_err(|error| match error {
            DecodeError::NoKvCacheSlot => StepError::NoRoom,
            DecodeError::NTokensZero => StepError::Failed(-1),
            DecodeError::Unknown(code) => StepError::Failed(code),
        })
    }

    /// Keeps the logits of a piece that began there, before the next one takes their place.
    fn put_by(&mut self, start: usize, piece: &[BatchToken]) {
        for index in (0..piece.len()).filter(|&index| piece[index].logits) {
            let logits = self.context.get_logits_ith(i32::try_from(index).unwrap_or(i32::MAX));
            self.early.0.push(start + index);
            self.early.1.extend_from_slice(logits);
        }
    }
}

/// How values are kept in the KV cache. On a CPU, ggml's attention goes in tiles from 64 tokens
/// on, and with several threads in parts for a single one, and rounds otherwise each time; but
/// only where keys and values are of one type (`ggml_compute_forward_flash_attn_ext_f16`).
/// Where they are not, each token is computed as if it stood alone, and its values are summed
/// in single precision: half precision, in which they would be summed otherwise, loses more
/// over a thousand tokens than BF16 does in each of them. It takes a tenth to a fifth of the
/// speed; one thread needs it not, but only steps in pieces below a tile.
fn value_type(model: &LoadedModel, config: &Config) -> KvCacheType {
    let parts = config.exact && !model.on_gpu() && config.threads() > 1;
    if parts { KvCacheType::BF16 } else { KvCacheType::F16 }
}

/// Where a step is cut, for answers as exact as they are wished.
fn cut(model: &LoadedModel, config: &Config) -> Cut {
    match (model.on_gpu(), config.exact, config.threads()) {
        (true, ..) => Cut::Adapters,
        (false, false, _) => Cut::Tiles,
        (false, true, 1) => Cut::Rows,
        // Nothing goes in tiles there.
        (false, true, _) => Cut::Adapters,
    }
}

/// The most tokens one step can hold: a prefill chunk and one token of every slot. Not less
/// than there are sequences: llama.cpp asserts that a batch could hold a token of each.
fn step_tokens(config: &Config) -> u32 {
    (config.prefill_tokens + config.slots).max(config.sequences() + 2)
}

impl Backend for Llama<'_> {
    fn cells(&self) -> usize {
        self.context_tokens
    }

    fn step(&mut self, batch: &[BatchToken]) -> Result<Duration, StepError> {
        // Not a part of the time that a step like this takes.
        self.make_room(batch.len());
        let began = Instant::now();
        let pieces = pieces(batch, self.cut);
        self.early.0.clear();
        self.early.1.clear();
        for piece in pieces {
            if piece.start > 0 {
                self.put_by(self.last, &batch[self.last..piece.start]);
            }
            self.last = piece.start;
            if let Err(error) = self.compute(&batch[piece.clone()]) {
                // Nothing was computed: what was, is taken back, one way or the other.
                for entry in &batch[..piece.start] {
                    self.remove(entry.sequence, entry.position..entry.position + 1);
                }
                return Err(if self.shares || piece.start == 0 { error } else { StepError::Failed(-2) });
            }
        }
        Ok(began.elapsed())
    }

    fn logits(&self, index: usize) -> &[f32] {
        if index < self.last {
            let (places, logits) = &self.early;
            let size = logits.len() / places.len().max(1);
            // The scheduler asks only for tokens it flagged: anything else panics.
            let row = places.binary_search(&index).unwrap_or(usize::MAX);
            return &logits[row * size..][..size];
        }
        self.context.get_logits_ith(i32::try_from(index - self.last).unwrap_or(i32::MAX))
    }

    fn release(&mut self, sequence: SequenceId) {
        self.remove(sequence, 0..u32::MAX);
    }

    fn shares(&self) -> bool {
        self.shares
    }

    fn copy(&mut self, from: SequenceId, to: SequenceId, positions: Positions) {
        if let Some(cells) = &mut self.cells {
            cells.copy(from, to, &positions);
        }
        self.share(from, to, positions);
    }

    fn remove(&mut self, sequence: SequenceId, positions: Positions) {
        let last = self.cells.as_mut().is_some_and(|cells| cells.pop(sequence, &positions));
        if self.cells.is_some() && !last {
            // They stay in use, or new tokens would be put there.
            self.share(sequence, self.attic, positions.clone());
        }
        self.free(sequence, positions.clone());
        if let Some(cells) = &mut self.cells {
            cells.remove(sequence, &positions);
            if cells.all_dead() {
                cells.clear();
                self.free(self.attic, 0..u32::MAX);
            }
        }
    }

    fn save(&mut self, sequence: SequenceId, positions: Positions) -> Option<Vec<u8>> {
        self.bytes(sequence, positions)
    }

    fn restore(&mut self, sequence: SequenceId, positions: Positions, state: &[u8]) -> bool {
        self.make_room(positions.len());
        let restored = self.bring_back(state);
        if restored {
            self.share(self.passage, sequence, positions.clone());
            if let Some(cells) = &mut self.cells {
                positions.for_each(|position| cells.push(sequence, position));
            }
        }
        self.free(self.passage, 0..u32::MAX);
        restored
    }
}
