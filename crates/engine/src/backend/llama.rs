//! llama.cpp through `llama-cpp-2` 0.1.160: loading a model, its vocabulary, and steps.

use std::io::Read;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use llama_cpp_2::DecodeError;
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::context::session::LlamaStateSeqFlags;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_sys_2 as sys;

use super::cells::{Cells, Group};
use super::pieces::pieces;
use super::rows::{Rows, kinds};
use super::{Backend, BatchToken, Positions, SequenceId, StepError, log, threads};
use crate::tools::MARKS;
use crate::vision::{Gallery, is_pseudo};
use crate::vocabulary::{Token, Tokenize, Vocabulary};
use crate::{Config, LoadError};

/// llama.cpp may be set up once per process.
pub(super) fn llama_cpp() -> &'static LlamaBackend {
    static BACKEND: OnceLock<LlamaBackend> = OnceLock::new();
    BACKEND.get_or_init(|| {
        log::install();
        LlamaBackend::init().expect("set up only here, once")
    })
}

/// A model's weights and vocabulary, memory-mapped and immutable: shared by the thread
/// that computes and by the callers' tasks that cut prompts into tokens.
pub(crate) struct LoadedModel {
    model: LlamaModel,
    vocabulary: Arc<Vocabulary>,
    /// The tokens of an empty input.
    around: OnceLock<Vec<Token>>,
    /// The rows of the images that calls show it.
    gallery: Arc<Gallery>,
}

impl LoadedModel {
    /// Maps the file at `path`; `progress` hears how far that is, 0 to 1.
    pub(crate) fn open(
        path: &Path,
        config: &Config,
        mut progress: impl FnMut(f32) + 'static,
    ) -> Result<Self, LoadError> {
        check_magic(path)?;
        let backend = llama_cpp();
        log::clear_last_error();
        let params =
            LlamaModelParams::default().with_n_gpu_layers(config.gpu_layers.unwrap_or(u32::MAX >> 1));
        let params = params.with_progress_callback(move |done| {
            progress(done);
            true
        });
        let model = LlamaModel::load_from_file(backend, path, &params)
            .map_err(|_| LoadError::Model { path: path.to_owned(), reason: log::last_error() })?;
        let vocabulary = Arc::new(read_vocabulary(&model));
        let gallery = Arc::new(Gallery::new(input_width(&model), (config.images_mib as usize) << 20));
        Ok(Self { model, vocabulary, around: OnceLock::new(), gallery })
    }

    pub(super) fn raw(&self) -> &LlamaModel {
        &self.model
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
        const ENCODERS: [&str; 3] = ["bert", "gemma-embedding", "eurobert"];
        let architecture = self.metadata("general.architecture").unwrap_or_default();
        match self.pooling() {
            Some(pooling) => pooling > 0,
            None => ENCODERS.iter().any(|encoder| architecture.contains(encoder)),
        }
    }

    /// Made to score a text against a query.
    pub(crate) fn ranks(&self) -> bool {
        const RANK: u32 = 4;
        self.pooling() == Some(RANK)
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
    exact: bool,
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
        let threads = config.threads.unwrap_or_else(threads::default_threads);
        let threads = i32::try_from(threads).unwrap_or(i32::MAX);
        let step_tokens = step_tokens(config);
        let shares = model.remembers_tokens();
        let spare = if shares && !GPU { config.spare_tokens() } else { 0 };
        let params = LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(config.context_tokens + spare))
            .with_n_batch(step_tokens)
            .with_n_ubatch(step_tokens.min(MICRO_BATCH))
            .with_n_seq_max(config.sequences() + 2)
            .with_n_threads(threads)
            .with_n_threads_batch(threads)
            // Without it each sequence would own a fixed share of the cache.
            .with_kv_unified(true)
            .with_no_perf(true);
        log::clear_last_error();
        let context = model.model.new_context(llama_cpp(), params).map_err(|_| LoadError::Context {
            context_tokens: config.context_tokens,
            reason: log::last_error(),
        })?;
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
            batch,
            shares,
            passage: config.sequences(),
            attic: config.sequences() + 1,
            cells: (spare > 0).then(|| Cells::new(size)),
            context_tokens: size - spare as usize,
            exact: config.exact,
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

    /// What of a batch is computed at once, in order.
    fn pieces(&self, batch: &[BatchToken]) -> Vec<Range<usize>> {
        let mut all = Vec::new();
        for kind in kinds(batch) {
            let within = |piece: Range<usize>| kind.start + piece.start..kind.start + piece.end;
            match GPU {
                true => all.push(kind),
                false => all.extend(pieces(&batch[kind.clone()], self.exact).into_iter().map(within)),
            }
        }
        all
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

/// Kernels that run on a GPU take any number of tokens at once.
pub(crate) const GPU: bool = cfg!(any(
    feature = "cuda",
    feature = "rocm",
    feature = "metal",
    feature = "vulkan",
    feature = "opencl",
    feature = "webgpu"
));

/// The most tokens computed at once: more gain nothing, and llama.cpp keeps room for the
/// logits of all.
const MICRO_BATCH: u32 = 512;

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
        let pieces = self.pieces(batch);
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
        if self.cells.is_some() {
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
