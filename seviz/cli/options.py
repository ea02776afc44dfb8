"""Options that several commands share. Nothing heavy is imported here: ``--help`` must be quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from seviz.data.sources import known_forms
from seviz.errors import UsageError
from seviz.results.mechanisms import ALL, BY_KEY, DEFAULT_KIND, chosen
from seviz.results.seeds import checked_seed

MODEL = Group("Network", sort_key=1)
DATA = Group("Images", sort_key=2)
DRAWING = Group("Figure", sort_key=3)
PRINT = Group("Print", sort_key=4)
AUDIT = Group("Audit", sort_key=3)
ABLATION = Group("Ablation", sort_key=3)
FOLDING = Group("Folding", sort_key=3)
LOOKING = Group("What is looked at", sort_key=3)
OUTPUT = Group("Output", sort_key=5)

# A list of words; what its default means is said in its help.
Words = Parameter(consume_multiple=True, negative=(), show_default=False)
Blocks = Annotated[
    tuple[str, ...],
    Words,
    Parameter(help="Block names (SE_4_6) or stages (SE_4); all by default."),
]
Seed = Annotated[int, Parameter(validator=lambda _, seed: checked_seed(seed) and None)]
Formats = Annotated[
    tuple[str, ...],
    Words,
    Parameter(
        help="Formats of the figures: any of png, svg, pdf, eps, tiff; png and svg by default.",
        name=("--format", "--formats"),
    ),
]


@Parameter(name="*", group=MODEL)
@dataclass(frozen=True)
class ModelOptions:
    """How a checkpoint becomes a network."""

    arch: Annotated[
        str | None,
        Parameter(
            help="Architecture, where the file does not say it and its tensors fit no known one: a "
            "registered name, timm:NAME, torchvision:NAME, package.module:factory or file.py:factory."
        ),
    ] = None
    arch_args: Annotated[
        tuple[str, ...],
        Words,
        Parameter(help="Arguments of the architecture, as NAME=VALUE words."),
    ] = ()
    ema: Annotated[
        bool | None,
        Parameter(
            help="Weights averaged over training, where the file has both; taken by default.",
            show_default=False,
        ),
    ] = None
    weights: Annotated[
        str | None,
        Parameter(
            help="Where in the file the weights are, where it has several sets: student, model_ema.module."
        ),
    ] = None
    head: Annotated[
        str | None,
        Parameter(
            help="Name or position of the output that counts, where the network gives several."
        ),
    ] = None
    engine: Annotated[
        Literal["torch", "onnxruntime"],
        Parameter(
            help="What computes an ONNX model; onnxruntime is quicker on a CPU "
            "(pip install 'seviz[onnxruntime]')."
        ),
    ] = "torch"
    mechanism: Annotated[
        str | None,
        Parameter(
            help=f"Kind of gates to look at: {', '.join(BY_KEY)}, or {ALL} that have a number per channel; "
            "se by default. A record knows its own.",
            show_default=False,
        ),
    ] = None
    unsafe_load: Annotated[
        bool,
        Parameter(
            help="Let the file run the code that it holds: whole pickled networks, exported programs. "
            "Only for files of your own.",
            negative=(),
            show_default=False,
        ),
    ] = False
    imports: Annotated[
        tuple[str, ...],
        Words,
        Parameter(
            name="--import",
            help="Python files or modules to import first: code of your own that a whole pickled network "
            "needs, or that registers architectures.",
        ),
    ] = ()
    allow_nan: Annotated[
        bool,
        Parameter(help="Take weights that hold NaN or infinity.", negative=(), show_default=False),
    ] = False
    class_names: Annotated[
        str | None,
        Parameter(
            help="File that names the network's outputs, in their order: a name per line, JSON, YAML, CSV "
            "or .npy."
        ),
    ] = None
    input_size: Annotated[
        tuple[int, ...],
        Words,
        Parameter(
            help="Channels, height and width of the input; of what is no image its channels and length, or "
            "channels, depth, height and width."
        ),
    ] = ()
    mean: Annotated[
        tuple[float, ...], Words, Parameter(help="Mean per channel, on the scale 0 to 1.")
    ] = ()
    std: Annotated[
        tuple[float, ...],
        Words,
        Parameter(help="Standard deviation per channel, on the scale 0 to 1."),
    ] = ()
    crop_pct: Annotated[
        float | None,
        Parameter(
            help="Share of the image's side that the crop keeps; 1 with an --input-size of your own."
        ),
    ] = None
    crop_mode: Annotated[
        Literal["center", "squash", "border"] | None,
        Parameter(
            help="Cut the centre out (center), stretch the whole image to the input (squash), or fit it "
            "in and fill the border (border)."
        ),
    ] = None
    interpolation: Annotated[
        Literal["nearest", "bilinear", "bicubic", "lanczos"] | None,
        Parameter(help="Resampling filter of the resize."),
    ] = None
    channel_order: Annotated[
        Literal["rgb", "bgr"] | None,
        Parameter(help="Order of the colours; bgr for networks trained on OpenCV's images."),
    ] = None

    @property
    def kind(self) -> str:
        """Return the kind of gates, by its word.

        Raises:
            UsageError: If there is no such kind.
        """
        word = self.mechanism or DEFAULT_KIND
        chosen(word)
        return word


# The smallest numbers that options take.
LEAST = {"batch-size": 1, "workers": 0, "num-samples": 1}


@Parameter(name="*", group=DATA)
@dataclass(frozen=True)
class DataOptions:
    """Where images come from and how they go through the network."""

    data: Annotated[
        str | None,
        Parameter(help=f"{known_forms()[0].upper()}{known_forms()[1:]}."),
    ] = None
    split: Annotated[
        str | None, Parameter(help="Part of the data; its test or validation part by default.")
    ] = None
    labels: Annotated[
        Literal["model", "data", "sorted", "natural"],
        Parameter(
            help="Match folders to the network's classes by name (model), make each folder a class of "
            "its own (data), or take the folders for the network's outputs in sorted order, as ImageFolder "
            "numbers them (sorted), or with numbers by their value, as timm does (natural)."
        ),
    ] = "model"
    shard: Annotated[
        str | None,
        Parameter(
            help="Part of the images, as 2/3, for jobs that know nothing of each other; seviz merge adds "
            "their records up."
        ),
    ] = None
    num_samples: Annotated[
        int | None, Parameter(help="At most that many images of each class, the first ones.")
    ] = None
    batch_size: Annotated[
        int | None,
        Parameter(alias="-b", help="Images per batch; chosen by image size and device by default."),
    ] = None
    workers: Annotated[
        int | None,
        Parameter(
            alias="-j", help="Processes that decode images; up to 4 by default, 16 for a GPU."
        ),
    ] = None
    device: Annotated[
        str, Parameter(help="auto (a GPU where there is one), cpu, cuda, cuda:1, mps.")
    ] = "auto"
    amp: Annotated[
        bool, Parameter(help="Automatic mixed precision.", negative=(), show_default=False)
    ] = False
    amp_dtype: Annotated[
        Literal["float16", "bfloat16", "tf32"],
        Parameter(help="Its floating-point type; tf32 on a GPU alone."),
    ] = "bfloat16"
    fast: Annotated[
        bool,
        Parameter(
            help="Run long passes on a faster copy of the network (batch norms folded, channels last), "
            "checked on the first batch; --no-fast runs the network as it is.",
            negative="--no-fast",
            show_default=False,
        ),
    ] = True
    torchcompile: Annotated[
        bool,
        Parameter(
            help="Compile the network first; takes a minute, and pays for thousands of images.",
            negative=(),
            show_default=False,
        ),
    ] = False
    strict: Annotated[
        bool,
        Parameter(
            help="Stop at an image that cannot be read, instead of skipping it.",
            negative=(),
            show_default=False,
        ),
    ] = False
    download: Annotated[
        bool,
        Parameter(
            help="Fetch CIFAR-10 (170 MB) if it is not here.", negative=(), show_default=False
        ),
    ] = False
    without_squeeze: Annotated[
        bool,
        Parameter(
            help="Read per-pixel gates (their spatial mean) instead of SE: --mechanism gate.",
            negative=(),
            show_default=False,
        ),
    ] = False

    def __post_init__(self) -> None:
        """Refuse numbers that no pass can take, before anything is loaded."""
        for option, least in LEAST.items():
            value = getattr(self, option.replace("-", "_"))
            if value is not None and value < least:
                raise UsageError(
                    f"expected --{option} of at least {least}, found {value}; leave it out for the default"
                )


@Parameter(name="*", group=DATA)
@dataclass(frozen=True)
class EarlierOptions:
    """What becomes of an earlier pass over the same images."""

    resume: Annotated[
        bool,
        Parameter(
            help="Go on with a pass that was killed or interrupted.",
            negative=(),
            show_default=False,
        ),
    ] = False
    no_cache: Annotated[
        bool,
        Parameter(
            help="Collect anew, also where the output folder holds the record of the same pass.",
            negative=(),
            show_default=False,
        ),
    ] = False


@Parameter(name="*", group=DATA)
@dataclass(frozen=True)
class ReadOptions:
    """What is read in a pass."""

    blocks: Annotated[
        tuple[str, ...],
        Words,
        Parameter(
            help="Block names (SE_4_6) or stages (SE_4) to read; all by default. Other blocks are not in "
            "the record, and no redraw can show them."
        ),
    ] = ()
    predictions: Annotated[
        bool,
        Parameter(
            help="Record the network's answers; --no-predictions ends each pass at the last block that is "
            "read, which for early blocks takes a fraction of the time.",
            negative="--no-predictions",
            show_default=False,
        ),
    ] = True


@Parameter(name="*", group=PRINT)
@dataclass(frozen=True)
class PageOptions:
    """How figures fit a page."""

    width: Annotated[
        str | None,
        Parameter(
            help="Width in centimetres, or column (8.9 cm) or page (18.3 cm) of a paper; by default as the "
            "number of panels needs it."
        ),
    ] = None
    dpi: Annotated[
        float | None,
        Parameter(help="Dots per inch of PNG and TIFF; 200 by default.", show_default=False),
    ] = None
    font: Annotated[str | None, Parameter(help="Font family of all text.")] = None


@Parameter(name="*", group=PRINT)
@dataclass(frozen=True)
class ColourOptions(PageOptions):
    """How figures of several things look in print: in which colours, and with which letters."""

    palette: Annotated[
        tuple[str, ...],
        Words,
        Parameter(
            help="Colours: a colour map of matplotlib (tab10, viridis, grey), or a list of colours. Those by "
            "default can be told apart with any colour vision."
        ),
    ] = ()
    letters: Annotated[
        bool,
        Parameter(help="Letter the panels (a), (b), ...", negative=(), show_default=False),
    ] = False


@Parameter(name="*", group=PRINT)
@dataclass(frozen=True)
class PrintOptions(ColourOptions):
    """How figures of classes look in print."""

    rename: Annotated[
        tuple[str, ...],
        Words,
        Parameter(help="Names to show in place of those of classes, as words OLD=NEW."),
    ] = ()


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class OutputOptions:
    """Where results go and how much is said."""

    output: Annotated[
        str | None,
        Parameter(alias="-o", help="Folder for the results; reports/<checkpoint name> by default."),
    ] = None
    json: Annotated[
        bool,
        Parameter(help="Print one JSON document instead of text.", negative=(), show_default=False),
    ] = False
    quiet: Annotated[
        bool,
        Parameter(alias="-q", help="No progress and no remarks.", negative=(), show_default=False),
    ] = False
    verbose: Annotated[
        int,
        Parameter(
            alias="-v",
            count=True,
            show_default=False,
            help="More remarks; twice: the traceback of an error.",
        ),
    ] = 0
