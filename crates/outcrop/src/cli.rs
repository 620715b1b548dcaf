//! What can be typed: commands, arguments, help. What they do is in `command/`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// An open model cloud: Bedrock, Anthropic and OpenAI clients, any model, one binary.
#[derive(Parser)]
#[command(
    name = "outcrop",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  outcrop serve                          serve the default model on 127.0.0.1:8080
  outcrop pull qwen3-0.6b                fetch a model of the catalog
  outcrop chat                           talk to it in the terminal
  outcrop keys create --name ci          a key for a program

Data (models, keys, certificates) lies in $OUTCROP_HOME, by default ~/.local/share/outcrop.
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 not found,
            4 a source or server could not be reached, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve models to every client
    Serve(Serve),
    /// Chat with a model in the terminal
    Chat(Chat),
    /// Fetch a model: resumes, verifies, falls back to the next source
    Pull(Pull),
    /// List the catalog and what is here; show, derive and convert models
    Models(Models),
    /// Measure a model on this machine: reading, answering, memory
    Bench(Bench),
    /// List the chips that models can be computed on here
    Devices(Devices),
    /// Create, list and revoke keys
    Keys(Keys),
    /// List providers of hosted models, and test the way to one
    Providers(Providers),
    /// Check the configuration without serving
    Check(Check),
    /// Show how clients come to trust this server's certificate
    Trust(Trust),
    /// Compute one model for a gateway, which starts this with a socket as standard input
    #[command(hide = true)]
    Worker,
}

impl Command {
    /// Prints and ends: opens no connection, serves nothing.
    pub(crate) const fn only_prints(&self) -> bool {
        match self {
            Self::Devices(_) | Self::Keys(_) | Self::Check(_) | Self::Trust(_) => true,
            Self::Models(models) => {
                !matches!(models.action, Some(ModelsAction::Derive(_) | ModelsAction::Convert(_)))
            }
            Self::Providers(providers) => matches!(providers.action, ProvidersAction::List { .. }),
            Self::Serve(_) | Self::Chat(_) | Self::Pull(_) | Self::Bench(_) | Self::Worker => false,
        }
    }
}

/// Where the configuration comes from.
#[derive(Args, Clone, Default)]
pub(crate) struct ConfigSource {
    /// Configuration file [default: ./outcrop.toml if there is one, else built-in defaults]
    #[arg(long, short, env = "OUTCROP_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  outcrop serve
  outcrop serve --model qwen3-0.6b --model ./my-model.gguf
  outcrop serve --config /etc/outcrop.toml --listen 0.0.0.0:8080
  outcrop serve --dev                    any credential is accepted, loopback only")]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) source: ConfigSource,
    /// Address for HTTP (h1 and h2c)
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Address for HTTPS (h1 and h2)
    #[arg(long, value_name = "ADDR")]
    pub(crate) tls_listen: Option<SocketAddr>,
    /// A model to serve: catalog id or GGUF file; may be repeated
    #[arg(long = "model", short, value_name = "ID|FILE")]
    pub(crate) models: Vec<String>,
    /// Accept any credential; refused unless both addresses are loopback
    #[arg(long)]
    pub(crate) dev: bool,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  outcrop chat
  outcrop chat qwen3-0.6b --system 'Answer in one sentence.'
  echo 'What is an outcrop?' | outcrop chat --max-tokens 60

Inside: /help lists the commands; Ctrl-C stops an answer, Ctrl-D leaves.
Without a server at --url, one is started for this conversation.")]
pub(crate) struct Chat {
    /// Model to talk to [default: the first the server lists]
    #[arg(value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// A running server
    #[arg(long, env = "OUTCROP_URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) url: String,
    /// Its key
    #[arg(long, env = "OUTCROP_API_KEY", hide_env_values = true)]
    pub(crate) key: Option<String>,
    /// Instructions for the model
    #[arg(long, short)]
    pub(crate) system: Option<String>,
    /// Most tokens of one answer
    #[arg(long, default_value_t = 1024)]
    pub(crate) max_tokens: u32,
    /// Randomness; 0 always takes the likeliest token
    #[arg(long, short)]
    pub(crate) temperature: Option<f32>,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  outcrop bench
  outcrop bench qwen3-0.6b --streams 1,4,16 --prompt 2048
  outcrop bench ./my-model.gguf --json > before.json

The model runs in a worker, with the [engine] settings of the configuration. Nothing else
should run meanwhile. Limits of the machine are measured first: answers of one call are
bounded by how fast memory is read, prompts and many calls by how fast matrices are
multiplied.")]
pub(crate) struct Bench {
    /// A model that is here (`outcrop models`), or a GGUF file
    #[arg(value_name = "ID|FILE", default_value = catalog::DEFAULT_MODEL)]
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) source: ConfigSource,
    /// Threads of computation [default: as configured, else as for serving]
    #[arg(long, value_name = "N", value_parser = positive())]
    pub(crate) threads: Option<usize>,
    /// How many calls are answered at once, one measurement each
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [1, 8, 32], value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) streams: Vec<u32>,
    /// Tokens of each answer
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = positive())]
    pub(crate) tokens: usize,
    /// Tokens, about, of the prompt that is read, and of the beginning that calls share
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = positive())]
    pub(crate) prompt: usize,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  outcrop devices
  outcrop devices --json

Their names are what `engine.devices` of the configuration takes. A build drives the GPUs it
was built for (docs/hardware.md).")]
pub(crate) struct Devices {
    #[command(flatten)]
    pub(crate) source: ConfigSource,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn positive() -> impl clap::builder::TypedValueParser<Value = usize> {
    use clap::builder::TypedValueParser;
    clap::value_parser!(u32).range(1..).map(|number| number as usize)
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  outcrop pull                                   the default model
  outcrop pull qwen3-0.6b
  outcrop pull hf:Qwen/Qwen3-0.6B-GGUF/Qwen3-0.6B-Q8_0.gguf
  outcrop pull https://example.com/model.gguf
  outcrop pull ./model.gguf
  outcrop pull ./Qwen3-0.6B                      a folder of safetensors, converted

Ctrl-C keeps what was fetched; the same command goes on from there. A quantization that
this processor computes slowly is written again as a faster one (`outcrop models derive`).
PIP_INDEX_URL, pip.conf, HF_ENDPOINT, HF_TOKEN and the proxy variables are honoured.")]
pub(crate) struct Pull {
    /// Catalog id, hf:org/repo/file, https://…, a GGUF file or a folder of safetensors
    #[arg(value_name = "MODEL", default_value = catalog::DEFAULT_MODEL)]
    pub(crate) model: String,
    /// Accept the model's terms of use (shown first)
    #[arg(long)]
    pub(crate) accept_terms: bool,
    /// Keep the file as it is: make no variant that this machine computes faster
    #[arg(long)]
    pub(crate) no_derive: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  outcrop models                         the catalog, and what is here
  outcrop models show qwen3-0.6b         what its file tells of it
  outcrop models show ./model.gguf
  outcrop models derive qwen3-0.6b       write it again as it runs fastest here
  outcrop models convert ./Qwen3-0.6B    make a model file of published weights"
)]
pub(crate) struct Models {
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) action: Option<ModelsAction>,
}

#[derive(Subcommand)]
pub(crate) enum ModelsAction {
    /// Tell what a model's file tells: architecture, quantization, memory, template
    Show {
        /// Id of a model that is here, or a GGUF file
        #[arg(value_name = "ID|FILE")]
        model: String,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a model again in the quantization that runs fastest on this machine
    Derive(Derive),
    /// Make a model file (GGUF) of a folder of published weights (safetensors)
    Convert(Convert),
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  outcrop models convert ./Qwen3-0.6B
  outcrop models convert ./SmolLM2-135M --to q8_0 --id mine

The folder is as model hubs publish it: config.json, tokenizer.json, tokenizer_config.json
and the weights in safetensors, in one file or several. Llama (SmolLM2, Mistral with a
byte-level tokenizer), Qwen2, Qwen2.5 and Qwen3 (dense) are understood, stored in F32, F16
or BF16, and sentence-transformers of the BERT family; SentencePiece vocabularies are not.
`outcrop pull ./folder` does the same.")]
pub(crate) struct Convert {
    /// The folder
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    /// How matrices are stored; q8_0 is half of 16 bits and loses next to nothing
    /// [default: as published, in 16 bits at most]
    #[arg(long, value_name = "TYPE")]
    pub(crate) to: Option<ConvertTo>,
    /// What the model will be called [default: as the folder]
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A type that matrices can be stored in.
#[derive(clap::ValueEnum, Clone, Copy)]
pub(crate) enum ConvertTo {
    /// Single precision.
    F32,
    /// Half precision.
    F16,
    /// Single precision's range in half its bits.
    Bf16,
    /// Eight bits a number.
    #[value(name = "q8_0")]
    Q8_0,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  outcrop models derive smollm2-135m-instruct            where it pays, as `pull` does
  outcrop models derive smollm2-135m-instruct --to q8_0  in any case
  outcrop models derive smollm2-135m-instruct --remove   back to the file that was pulled

Some quantizations (Q4_1, Q5_0, Q5_1) are computed slowly by x86 processors. As Q8_0 a model
read prompts 1.1 to 1.9 times and answered 1.3 to 1.5 times as fast on one core; it takes more
room and is as good as before. The file that was pulled stays; the derived one lies in derived/
beside it and is served in its place, unless outcrop.toml says `quantization = \"as-pulled\"`.")]
pub(crate) struct Derive {
    /// Id of a model that is here
    #[arg(value_name = "ID")]
    pub(crate) model: String,
    /// This quantization [default: the fastest here, if it is another]
    #[arg(long, value_name = "TYPE")]
    pub(crate) to: Option<DeriveTo>,
    /// Remove what was derived
    #[arg(long, conflicts_with = "to")]
    pub(crate) remove: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A quantization that can be derived.
#[derive(clap::ValueEnum, Clone, Copy)]
pub(crate) enum DeriveTo {
    /// Eight bits a number.
    #[value(name = "q8_0")]
    Q8_0,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  outcrop keys create --name ci --expires 30d
  outcrop keys list
  outcrop keys revoke key_…              effective on running servers within a second")]
pub(crate) struct Keys {
    #[command(subcommand)]
    pub(crate) action: KeysAction,
}

#[derive(Subcommand)]
pub(crate) enum KeysAction {
    /// Make a key: a bearer secret and an AWS access-key pair, shown once
    Create {
        /// A name to recognise it by
        #[arg(long, default_value = "unnamed")]
        name: String,
        /// Valid this long: 12h, 30d … [default: until revoked]
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// List keys, never their secrets
    List {
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a key useless, at once and for good
    Revoke {
        /// The key's id (`outcrop keys list`)
        id: String,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  outcrop providers list                 those known, and whose key is in the environment
  outcrop providers test openai          name, connection, TLS, credential, list of models
  outcrop providers test bedrock --model us.anthropic.claude-sonnet-4-5-20250929-v1:0

A provider is used by its table in outcrop.toml: `[providers.openai]` alone is enough when
its usual variable is set. A provider without a table can be tested, too.")]
pub(crate) struct Providers {
    #[command(subcommand)]
    pub(crate) action: ProvidersAction,
}

#[derive(Subcommand)]
pub(crate) enum ProvidersAction {
    /// List what is known and what is configured
    List {
        #[command(flatten)]
        source: ConfigSource,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Try to reach one, step by step; says what is wrong and what to do
    Test {
        #[command(flatten)]
        source: ConfigSource,
        /// Its name in outcrop.toml, or of a known provider
        #[arg(value_name = "NAME")]
        name: String,
        /// Ask this model a question, too [default: the list of models is asked for]
        #[arg(long, value_name = "MODEL")]
        model: Option<String>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) source: ConfigSource,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  eval \"$(outcrop trust)\"               trust it in this shell
  outcrop trust --json")]
pub(crate) struct Trust {
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
