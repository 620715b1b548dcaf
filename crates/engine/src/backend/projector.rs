//! The second model of one that sees: llama.cpp's multimodal library (`mtmd`) makes rows
//! of an image's pixels.
//!
//! The crate's own wrapper has no way to the rows, so the C interface is called here. A
//! picture is cut and scaled as its model was taught, and computed on threads of its own,
//! beside the steps of the language model.

use std::ffi::CString;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use llama_cpp_sys_2 as sys;

use super::{LoadedModel, log};
use crate::vision::{Part, Pixels, Projector};
use crate::vocabulary::Token;
use crate::{Config, LoadError};

/// A projector's file, loaded.
pub(crate) struct Mtmd {
    context: NonNull<sys::mtmd_context>,
    /// The picture whose parts were asked for last.
    chunks: Option<Chunks>,
    /// Numbers in a row.
    width: usize,
    /// The context looks into its vocabulary.
    model: Arc<LoadedModel>,
}

// SAFETY: the context is bound to no thread, and is used through `&mut` only.
unsafe impl Send for Mtmd {}

impl Mtmd {
    /// Opens the projector at `path` for a model, or tells why the two do not fit.
    pub(crate) fn open(path: &Path, model: &Arc<LoadedModel>, config: &Config) -> Result<Self, LoadError> {
        super::llama::check_magic(path)?;
        let refused =
            |reason: &str| LoadError::Projector { path: path.to_owned(), reason: reason.to_owned() };
        let name = CString::new(path.as_os_str().as_encoded_bytes())
            .map_err(|_| refused("its path has a zero byte"))?;
        log::clear_last_error();
        // SAFETY: plain data.
        let mut params = unsafe { sys::mtmd_context_params_default() };
        params.use_gpu = model.on_gpu();
        params.print_timings = false;
        // A first picture that is slow is better than a load that always is.
        params.warmup = false;
        // Half of them: the other half goes on with the steps of calls that are under way.
        params.n_threads = i32::try_from((config.threads() / 2).max(1)).unwrap_or(1);
        // SAFETY: the path ends with a zero byte and the model lives: `Self` keeps it.
        // Faults of the file are exceptions, which are caught within.
        let context = unsafe { sys::mtmd_init_from_file(name.as_ptr(), model.pointer(), params) };
        let context = NonNull::new(context).ok_or_else(|| refused(&log::last_error()))?;
        let width = model.input_width();
        let mut projector = Self { context, chunks: None, width, model: Arc::clone(model) };
        let context = projector.context.as_ptr();
        // SAFETY: the context is alive; no chunk asks about images.
        let (sees, all_at_once, planes) = unsafe {
            (
                sys::mtmd_support_vision(context),
                sys::mtmd_decode_use_non_causal(context, std::ptr::null()),
                sys::mtmd_decode_use_mrope(context),
            )
        };
        if !sees {
            return Err(refused("it is not for images"));
        }
        if all_at_once {
            return Err(refused(
                "its model looks at all of an image at once (attention that is not causal), and images \
                 are computed in steps here; use a model that reads them in order",
            ));
        }
        if planes {
            return Err(refused(
                "its model counts the places of an image in rows and columns (M-RoPE), which is not \
                 supported here yet; use a model that counts them one by one",
            ));
        }
        // A projector of another model may name marks that this one's vocabulary lacks.
        let parts = projector.parts(&Pixels::new(64, 64)).map_err(|reason| refused(&reason))?;
        projector.chunks = None;
        match parts.iter().any(|part| matches!(part, Part::Rows(1..))) {
            true => Ok(projector),
            false => Err(refused("it makes nothing of an image")),
        }
    }

    /// What mtmd makes of a picture alone.
    fn tokenize(&self, pixels: &Pixels) -> Option<Chunks> {
        let text = sys::mtmd_input_text {
            // SAFETY: a constant of the library.
            text: unsafe { sys::mtmd_default_marker() },
            // SAFETY: the same constant ends with a zero byte.
            text_len: unsafe { std::ffi::CStr::from_ptr(sys::mtmd_default_marker()) }.to_bytes().len(),
            add_special: false,
            parse_special: true,
        };
        // SAFETY: three bytes for each pixel, which mtmd copies.
        let bitmap =
            unsafe { sys::mtmd_bitmap_init(pixels.width(), pixels.height(), pixels.as_raw().as_ptr()) };
        let bitmap = Bitmap(NonNull::new(bitmap)?);
        // SAFETY: no arguments.
        let chunks = Chunks(NonNull::new(unsafe { sys::mtmd_input_chunks_init() })?);
        let mut bitmaps = [bitmap.0.as_ptr().cast_const()];
        // SAFETY: everything that is pointed to lives until the end of the call; the text has
        // one marker for the one bitmap.
        let code = unsafe {
            sys::mtmd_tokenize(
                self.context.as_ptr(),
                chunks.0.as_ptr(),
                &raw const text,
                bitmaps.as_mut_ptr(),
                1,
            )
        };
        (code == 0).then_some(chunks)
    }
}

impl Projector for Mtmd {
    fn parts(&mut self, pixels: &Pixels) -> Result<Vec<Part>, String> {
        log::clear_last_error();
        let failed = || format!("the image cannot be prepared for the model: {}", log::last_error());
        let chunks = self.tokenize(pixels).ok_or_else(failed)?;
        let vocabulary = self.model.vocabulary().len();
        let part = |chunk: Chunk| match chunk {
            Chunk::Text(tokens) if tokens.iter().all(|&token| (token as usize) < vocabulary) => {
                Ok(Part::Marks(tokens))
            }
            Chunk::Text(_) => {
                Err("the model's vocabulary lacks the marks that the projector puts around an \
                 image; the two are not of one model"
                    .to_owned())
            }
            Chunk::Image(rows, _) => Ok(Part::Rows(rows)),
            Chunk::Other => Err("the projector makes more of an image than can be computed here".to_owned()),
        };
        let parts = chunks.iter().map(part).collect();
        self.chunks = Some(chunks);
        parts
    }

    fn rows(&mut self) -> Result<Vec<f32>, String> {
        let chunks = self.chunks.take().ok_or("no image was prepared")?;
        let mut all = Vec::new();
        log::clear_last_error();
        for chunk in chunks.iter() {
            let Chunk::Image(rows, chunk) = chunk else { continue };
            // SAFETY: the chunk belongs to `chunks`, which lives; nobody else has the context.
            let code = unsafe { sys::mtmd_encode_chunk(self.context.as_ptr(), chunk) };
            if code != 0 {
                return Err(format!("the image could not be computed: {}", log::last_error()));
            }
            // SAFETY: after a success there are so many rows of this width, until the next.
            let rows = unsafe {
                let first = sys::mtmd_get_output_embd(self.context.as_ptr());
                std::slice::from_raw_parts(first, rows * self.width)
            };
            all.extend_from_slice(rows);
        }
        Ok(all)
    }
}

impl Drop for Mtmd {
    fn drop(&mut self) {
        // SAFETY: made by `mtmd_init_from_file`, and freed once.
        unsafe { sys::mtmd_free(self.context.as_ptr()) }
    }
}

/// A picture as mtmd copies it.
struct Bitmap(NonNull<sys::mtmd_bitmap>);

impl Drop for Bitmap {
    fn drop(&mut self) {
        // SAFETY: made by `mtmd_bitmap_init`, and freed once.
        unsafe { sys::mtmd_bitmap_free(self.0.as_ptr()) }
    }
}

/// What mtmd made of a picture.
struct Chunks(NonNull<sys::mtmd_input_chunks>);

/// One of them.
enum Chunk {
    /// Marks.
    Text(Vec<Token>),
    /// So many rows.
    Image(usize, *const sys::mtmd_input_chunk),
    /// Sound, or places that are not one for each row.
    Other,
}

impl Chunks {
    fn iter(&self) -> impl Iterator<Item = Chunk> + '_ {
        // SAFETY: they are alive as long as `self`.
        let count = unsafe { sys::mtmd_input_chunks_size(self.0.as_ptr()) };
        (0..count).map(|at| {
            // SAFETY: there are `count`, and each lives as long as `self`; a text has as
            // many tokens as is said with it.
            unsafe {
                let chunk = sys::mtmd_input_chunks_get(self.0.as_ptr(), at);
                let rows = sys::mtmd_input_chunk_get_n_tokens(chunk);
                match sys::mtmd_input_chunk_get_type(chunk) {
                    sys::MTMD_INPUT_CHUNK_TYPE_TEXT => {
                        let mut count = 0;
                        let first = sys::mtmd_input_chunk_get_tokens_text(chunk, &raw mut count);
                        let tokens =
                            if count == 0 { &[][..] } else { std::slice::from_raw_parts(first, count) };
                        Chunk::Text(tokens.iter().map(|token| token.cast_unsigned()).collect())
                    }
                    sys::MTMD_INPUT_CHUNK_TYPE_IMAGE
                        if usize::try_from(sys::mtmd_input_chunk_get_n_pos(chunk)) == Ok(rows) =>
                    {
                        Chunk::Image(rows, chunk)
                    }
                    _ => Chunk::Other,
                }
            }
        })
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        // SAFETY: made by `mtmd_input_chunks_init`, and freed once.
        unsafe { sys::mtmd_input_chunks_free(self.0.as_ptr()) }
    }
}
