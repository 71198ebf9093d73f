"""Words that tell a question's grammar, as far as a follow-up needs it: what is a noun phrase, and what points back. No logic."""

import re

from assistant.language.english import DAYS, MONTHS

AUXILIARIES: dict[str, str] = {
    **dict.fromkeys(
        "am is are was were be been being isn't aren't wasn't weren't what's who's where's when's that's it's".split(), "be"
    ),
    **dict.fromkeys("has have had hasn't haven't hadn't".split(), "have"),
    **dict.fromkeys(
        """do does did can could will would shall should may might must don't doesn't didn't can't cannot couldn't won't
        wouldn't shouldn't mustn't""".split(),
        "do",
    ),
}
"""Auxiliary → the form of the verb that follows it: a participle or adjective, a participle, the plain form."""

QUESTION_WORDS = frozenset("what which who whom whose when where why how whats wheres whos".split())
PREPOSITIONS = frozenset(
    """of in on at by for from with without to into onto upon about as than during before after since until till per via over
    under against between through behind up off near above below beside inside outside within across around towards along
    except like""".split()
)
DETERMINERS = frozenset(
    """the a an this that these those my our your his her its their some any no each every other another all both either neither
    whose""".split()
)
PRONOUNS = frozenset(
    """i you we they he she it me us him her them one ones mine ours yours theirs hers everyone
    everybody nobody something anything everything nothing this that these those""".split()
)
CONJUNCTIONS = frozenset("and or but if when because while although though unless so that which who where".split())
ADVERBS = frozenset(
    """not also too just still yet ever never only again else even then now already once twice here there away back together
    very quite rather almost always often usually soon later exactly instead anyway maybe perhaps please otherwise
    down out ahead alone today tomorrow yesterday enough more most less least much many long""".split()
)
VERBS = frozenset(
    """accept add allow answer apply appoint arrive ask become begin belong boil book borrow break bring build burn buy call
    cancel carry catch change charge check choose clean climb close collect come configure connect contain cook coordinate cost
    count cover create cross decide delete deliver deploy die disable dissolve download drink drive dry eat elect empty enable
    end enter erase exclude exist expire export extend fail fill find finish fit fix fly follow get give go grow handle happen
    have head help hold hurt import include inform inspect insure install invite join keep know land last launch lead learn
    leave lend like listen live load lock look lose lower maintain make mark matter mean measure meet melt mend mount move need
    offer open operate order organise own park pass pay perform plan practise press print produce publish pull push put raise
    reach read receive refill refund register reload remain remove renew rent repair replace report require rescue resign
    restart restore return ride ring run save say see sell send serve set share show sign sit skip sleep smell smoke speak
    spend split stand start stay stop store submit supply support survive sweep take talk teach tell test throw touch train
    travel try turn update upgrade upload use visit vote wait wake walk wash wear win work write""".split()
)
"""Verbs of everyday questions, plain form: where a question's subject ends."""
ADJECTIVES = frozenset(
    """open due valid free available ready full empty near far high low big small large long short old new cheap expensive safe
    dangerous necessary possible compulsory responsible able worth still back cold warm hot cheaper better worse larger bigger
    smaller longer shorter higher lower faster slower earlier later easier safer harder older newer warmer colder further nearer
    heavier lighter""".split()
)
"""Adjectives that end a subject after "is"."""
PARTICIPLES = frozenset(
    """done made kept held built bought sold sent lent lost found given taken written read put set cut paid left met led run
    taught brought thrown worn broken chosen drawn driven eaten flown frozen grown known seen shown said told thought sworn
    understood supposed""".split()
)
"""Those that don't end in "-ed"."""
PREDICATES = ADJECTIVES | PARTICIPLES
ADJECTIVES_IN_LY = frozenset(
    "nightly daily weekly monthly yearly early family only friendly july reply supply assembly fly apply".split()
)
NOUNS_IN_ED = frozenset("need seed feed shed sled weed speed breed hundred steed bleed".split())
AUDIENCES = frozenset(
    """member members non-member non-members guest guests visitor visitors adult adults child children kid kids youth youths
    youngster teenager teenagers senior seniors pensioner pensioners student students pupil pupils family families partner
    partners group groups couple couples beginner beginners employee employees staff manager managers customer customers
    user users admin admins client clients tenant tenants owner owners resident residents volunteer volunteers helper helpers
    candidate candidates rescuer rescuers warden wardens man men woman women boy boys girl girls person people somebody someone
    anyone anybody everyone parent parents apprentice apprentices passenger passengers driver drivers patient patients""".split()
)
"""Kinds of people for whom a rule may differ."""
ATTRIBUTES = frozenset(
    """price prices cost costs fee fees charge deposit rent fare discount salary number numbers phone telephone email e-mail
    mail address website url altitude height depth width length size weight volume capacity age speed temperature distance area
    colour color name title author hours opening deadline date duration period validity version limit maximum minimum password
    power range reason purpose location place position role job warden leader term budget rate tone frequency""".split()
)
"""What a thing has one of: "and the price?" asks for that of the topic."""
TIMES = frozenset(
    f"{MONTHS}|{DAYS}|spring|summer|autumn|winter|season|christmas|easter|day|days|night|nights|morning|evening|"
    "afternoon|noon|midnight|week|weeks|weekend|weekends|weekday|weekdays|month|months|year|years|hour|hours|minute|minutes|"
    "holidays|mondays|tuesdays|wednesdays|thursdays|fridays|saturdays|sundays|tomorrow|yesterday|today".split("|")
)
ORDINALS = frozenset("first second third fourth fifth sixth next last previous".split())
MEASURES = frozenset(
    "much many long often far high deep wide tall heavy big large old fast early late soon steep exactly".split()
)
"""Adverbs that make one question word with "how"."""
EXPLETIVE = re.compile(
    r"\bit (?:\w+ ){0,3}?(?:takes?|took|costs?|make sense|possible|allowed|permitted|forbidden|necessary|ok|okay|safe|worth|"
    r"dangerous|true|compulsory|required|better|best|legal|useful|common|usual|normal|mandatory|difficult|hard|easy|important|"
    r"enough|matter|essential|assumed|believed|known|said|clear|likely|unlikely|called|recommended|"
    r"advisable)\b (?:\w+ ){0,3}?(?:to|that|if|when|whether)\b|"
    r"\bit (?:\w+ )?(?:rain|snow|freez|thunder|get dark|is dark)\w*|"
    r"\bit (?:is |be |gets? |was )?(?:very |too )?(?:dark|windy|foggy|stormy|icy|raining|snowing|cold outside)\b|"
    r"\bit mean\b|\b(?:is|was) it (?:from .+ )?to\b|\bwhat time is it\b|\b(?:far|long) is it from\b.*\bto\b",
    re.IGNORECASE,
)
"""An "it" that stands for nothing."""
THE_DOCUMENTS = frozenset(
    "handbook document documents manual guide page file folder index text book project company house".split()
)
"""After "this": not what the last turn was about but what is being read."""
NEGATED = dict(
    pair.split("/")
    for pair in """can/can't may/can't is/isn't are/aren't was/wasn't were/weren't do/don't does/doesn't did/didn't will/won't
    would/wouldn't should/shouldn't could/couldn't has/hasn't have/haven't""".split()
)
"""Auxiliary → what "why not?" makes of it."""
PEOPLE = re.compile(r"(?:ers|ors|ists|ants|ees|ians)$")
"""Many nouns of people end so."""

# What opens a follow-up, and the forms it takes.

OPENING = re.compile(
    r"^(?:(?:and|but|so|ok(?:ay)?|also|then|now|well|alright|great|thanks|no|yes|sorry|hm+|i (?:meant?|was asking)|rather|"
    r"actually|what about|how about|same for|the same for|what of|as for|or|not)\b[\s,:–-]*)+",
    re.IGNORECASE,
)
SMALL_TALK = frozenset("ok okay now well alright great thanks yes no so sorry not actually".split())
"""Openings after which a new topic is as likely."""
SAME = re.compile(
    r"^(?:is|does|do|would|are|was) (?:it|that|this|the same)(?: rule)?(?: also)? "
    r"(?:be )?(?:the same|true|apply|hold|go|valid|like that|so)(?: (?:also|too|true|rule))*\s+"
    r"(?:(?:for|to|of|with) |(?=(?:at|in|on)\b))(?P<rest>.+)$",
    re.IGNORECASE,
)
ALSO = re.compile(r",? (?:too|also|as well|either|then|instead|though)$", re.IGNORECASE)
MORE = re.compile(
    r"^(?:tell me more|more(?: details)?|any(?:thing)? (?:more|else)|what else|go on|explain(?: that| more)?|details)"
    r"(?: please)?$",
    re.IGNORECASE,
)
NEXT = re.compile(
    r"^(?:and )?(?:what )?(?:then|next|now|after that|happens? (?:then|next|after(?:wards| that)?))(?: what)?$", re.IGNORECASE
)
EVENT = re.compile(
    r"^(?P<asked>how|when|where|why|how often) (?:"
    r"(?:do|can|could|should|must|would|may) (?:i|you|we|one|they) do (?:that|it|this|so)|"
    r"(?:does|did|do|will|would|can) (?:that|it|this) happen|(?:is|was|must|should|can) (?:that|this|it)(?: be)? done)$",
    re.IGNORECASE,
)
"""Asks when or how what the last turn spoke of is done."""
DURATION = re.compile(
    r"^(?P<asked>how (?:long|much time) (?:does|did|do|will|would|can|may)) (?:that|it|this) (?:usually )?take$", re.IGNORECASE
)
ASKS_AT_ONCE = r"(?:is|are|was|were|do|does|did|can|could|may|must|should|has|have|will|would)"
CONDITION = re.compile(rf"^(?:what )?(?P<clause>(?:if|unless|in case|when (?!{ASKS_AT_ONCE}\b))\b.+)$", re.IGNORECASE)
AUXILIARY_FIRST = re.compile(rf"^{ASKS_AT_ONCE}\s+(?P<rest>.+)$", re.IGNORECASE)
COUNT = re.compile(r"^(?P<asked>how many .+ (?:is|are|was|were)) there$", re.IGNORECASE)
RELATIVE = re.compile(r"(?<=\w) (?:who|that|whose)\b")
COMMAND = re.compile(r"(?:tell|show|explain|describe|list|give)\b", re.IGNORECASE)
QUESTION_WORD_ALONE = re.compile(
    r"^(?:(?:up to|since|until|till|from|by|at|in|for|with|to|of|after|on|about)\s+)?"
    r"(?:why(?: not| is that| so| that| was that)?|how come|what for|says who|(?:who|whom|when|where|how|what|which)"
    r"(?: (?:much|many|long|often|far|high|soon|old|big|late|early|time|year|day|date|days|one|ones|else))?)"
    r"(?: (?:exactly|precisely|then|though|else|again|in advance))?$",
    re.IGNORECASE,
)
ASKED_NOUN = re.compile(
    r"(?:(?:at|in|on|by|for|from|with|of|to|until|since) (?:what|which|whose)\b|how many\b|(?:what|which) \w+$)", re.IGNORECASE
)
"""The beginning of a question without a verb: "at what temperature"."""
CLAUSE_BOUNDARY = re.compile(
    r"[.;:?!,]|\b(?:if|when|because|and|or|but|who|which|that|where|before|after|until|while|so|as|though|unless|whether)\b"
)
PLACES = frozenset("at in on to from near behind".split())
"""Prepositions of places."""
MOVING = frozenset("get go come arrive walk drive travel".split())
