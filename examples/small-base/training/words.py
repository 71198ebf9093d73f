"""The vocabulary of the generated documents: names, things, values, verbs and the words that people say instead."""

import random


def listed(text: str) -> list[str]:
    """The parts of a text between bars and line ends."""
    return text.replace("\n", "|").split("|")


ONSETS = "b br c ch d dr f fl g gr h j k kr l m n p pr qu r s sh sk st t th tr v w z".split()
VOWELS = "a e i o u a e i o ai au ea ee ei ie oo ou".split()
CODAS = "l n r s t m d k nd rn st lt sk x th ck ng p v".split()
ENDINGS = "a o en er in is ow ey ett old ine una ora ard an ia well ford by mark dale ton wick".split()
FIRST = """Ada Alma Anton Arno Astrid Bela Berta Bruno Carla Cedric Clara Conrad Dora Edgar Edith Elias Ella Emma Erik Ernst
Eva Felix Flora Frida Georg Greta Gustav Hanna Hedda Hugo Ida Igor Ines Irene Ivan Jana Jonas Judith Karin Karl
Klara Lars Lena Leo Lina Linus Lotte Ludwig Magda Marek Maria Marta Mila Mona Nadia Nils Nora Olga Oskar Otto Paula
Peter Petra Quentin Rita Robert Rosa Ruben Sara Selma Simon Sofia Sven Tara Theo Tilda Tomas Ulla Ursula Vera
Viktor Walter Wanda Yara Zoe""".split()
PLACES = """library museum hut cabin office workshop kitchen canteen laboratory greenhouse boathouse pool theatre cinema gym
archive shop bakery café garden car_park station warehouse studio chapel school nursery clinic farm mill depot
ferry_terminal swimming_hall reading_room lounge tower cellar attic sauna campsite harbour lighthouse town_hall
club_house ticket_office bike_store play_room meeting_room print_room server_room cold_store dairy forge orchard
stable gallery market visitor_centre winter_room dining_room dormitory guest_house observatory climbing_wall
rescue_station gear_store ski_room drying_room""".split()
DEVICES = """printer boiler pump generator projector kettle oven freezer dishwasher ladder drill lawn_mower tractor radio
microscope centrifuge scanner server router camera drone heater lift alarm stretcher rope tent compressor bicycle
van boat kayak canoe rowing_boat trailer piano telescope battery charger solar_panel water_tank filter turbine
sensor coffee_machine washing_machine dryer fridge stove chainsaw saw first_aid_kit defibrillator torch harness
helmet telephone clock thermometer weather_station antenna gas_cooker backup_script database login_page mobile_app
search_service mail_server booking_system web_shop""".split()
EVENTS = """course workshop concert market tour lecture exhibition meeting excursion festival rehearsal inspection exam
training race tournament dinner quiz_night open_day book_sale spring_clean summer_camp fire_drill first_aid_course
choir_evening swimming_lesson repair_evening film_night annual_meeting harvest_festival snow_course rope_course
radio_course work_weekend""".split()
SERVICES = """membership_card day_ticket season_ticket locker parking_permit room bed towel map guidebook breakfast packed_lunch
guided_tour lesson boat_trip sauna_ticket shower_token bike_rental ski_rental hire_car shuttle parcel copy of_the_key
newsletter replacement_card family_ticket group_ticket half_board full_board litre_of_tea bowl_of_soup dormitory_bed
luggage_transport library_card refund deposit late_return reservation""".replace("copy of_the_key", "copy_of_the_key").split()
ROLES = """caretaker treasurer librarian cook head_gardener site_manager editor secretary chairwoman bookkeeper warden
night_nurse head_of_sales data_officer safety_officer harbour_master foreman conductor coach trainer webmaster
archivist driver electrician doctor vet chief_engineer team_leader office_manager press_officer head_of_security
youth_leader president vice-president equipment_officer fire_warden cleaner plumber gardener auditor""".split()
ADJECTIVES = "old new upper lower small big north south east west main red blue green white inner outer first second".split()
TOPICS = """bees bread chess birds paint clay wood stone wool wine cheese trees maps ropes knots glass iron paper music tea
herbs mushrooms apples fish boats stars snow radio photography gardening cooking climbing sailing""".split()
MONTHS = "January February March April May June July August September October November December".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
UNITS = {
    "people": "How many people", "seats": "How many seats", "places": "How many places", "beds": "How many beds",
    "books": "How many books", "bottles": "How many bottles", "volunteers": "How many volunteers", "members": "How many members",
    "metres": "How many metres", "litres": "How many litres", "kilograms": "How many kilograms",
    "kilowatts": "How many kilowatts",
    "pages": "How many pages", "rooms": "How many rooms", "boxes": "How many boxes", "chairs": "How many chairs",
}  # fmt: skip
NUMBERS = """two three four five six seven eight nine ten eleven twelve fifteen sixteen twenty thirty forty fifty
a_hundred""".split()
SPOTS = listed("""under the stairs|behind the counter|next to the entrance|in the cellar|on the first floor|in the office
beside the boiler|on the north side|in the red cupboard|on the shelf above the sink|in the glass cabinet
behind the shed|at the reception|by the gate|in the drawer under the till|in the top left drawer
at the back of the hall|over the door|in the garage|on the roof|in room {n}|at the end of the corridor
in the blue box|opposite the church|on the hook beside the door|in the attic|in the safe|in {N}|near {N}
at the {N} bridge|in the yard behind the mill|on the second floor of the town hall""")
STUFF = listed("""the keys|the spare keys|the fuse box|the first-aid kit|the fire blanket|the cash box|the log book|the guest book
the spare batteries|the cleaning things|the life jackets|the paper for the printer|the old maps|the main tap
the ladder|the fire extinguisher|the lost property|the tools|the paint|the firewood|the spare bulbs|the blankets
the rubbish bags|the manuals|the gas bottles|the brooms|the visitors' book|the recycling bins|the stretcher
the radio""")
REASONS = listed("""the roof is being repaired|the old pump had frozen|a pipe had burst|the neighbours complained about the noise
the floor was wet|nobody had ordered the part|the paint had not dried|the insurance asks for it
the cable was damaged by mice|the well runs dry in summer|the road was icy|the lock was broken
there were too few helpers|the smoke could not get out|two boats were lost that way|the seeds must stay dry
the glue needs air|the price of oil rose|children climbed over the fence|the sun fades the colours
the old one leaked|cattle graze there|the snow blocks the door|the licence ran out""")
ACTIONS = listed("""close the main tap|switch off the power|call the caretaker|open both windows|ring the bell|put on gloves
wait ten minutes|write it in the log book|fetch the ladder|press the green button|pull the red lever
turn the key to the left|hang out the flag|tell the office|send everybody outside|restart the router
unplug the cable|lock the gate|empty the tray|rinse it with cold water|take a photograph
note the number on the back|hold the button for {w} seconds|leave the lights on|charge the battery
bring it to the workshop|mark it with yellow tape|ask the neighbour|clean the filter|move to the assembly point""")
TROUBLES = listed("""the alarm rings|the water stays cold|the screen is black|the door does not open|a fuse blows|somebody is hurt
the pump stops|the lamp blinks red|the printer jams|it smells of gas|a key is lost|the network is down
a guest is missing|the boat leaks|the engine is too hot|a payment fails|the fridge is warm|the power fails
a bottle breaks|it snows in the night|the lift is stuck|nobody answers the phone|a parcel is damaged
the password is forgotten|the river rises""")
COLOURS = "red blue green yellow white black grey orange purple brown".split()
MATERIALS = "oak steel brick glass copper granite wool leather bamboo plastic aluminium clay cork linen slate".split()

VERBS = """open close cost hold carry need take give run start end begin finish keep bring pay sell buy rent lend borrow
return send call ring answer ask tell write read sign meet decide elect choose name lead teach learn train clean
wash dry heat cool cook bake boil serve eat drink sleep stay live work build repair mend replace change check test
inspect measure weigh count store stand lie hang put move lift pull push press turn switch lock unlock fill empty
supply deliver collect fetch order reserve book cancel use wear show see find look search lose leave arrive go come
reach cross climb walk drive ride fly sail swim burn break fall freeze melt rain snow blow grow plant water feed
cut split saw paint print copy scan save delete load download update install connect charge plug belong contain
include cover join apply register enter allow forbid require expire last wait rest warn report inform help support
guide rescue treat protect save replace restart reset mark label record note list publish announce invite welcome
receive accept refuse grant earn spend cost owe refund offer provide produce make become remain happen depend
follow mean weigh seat fit apply handle own look sweep prune host speak sit set talk lay draw throw catch""".split()
IRREGULAR = {
    "hold": "held", "take": "took", "give": "gave", "run": "ran", "begin": "began", "keep": "kept", "bring": "brought",
    "pay": "paid", "sell": "sold", "buy": "bought", "lend": "lent", "send": "sent", "ring": "rang", "tell": "told",
    "write": "wrote", "meet": "met", "choose": "chose", "lead": "led", "teach": "taught", "eat": "ate", "drink": "drank",
    "sleep": "slept", "build": "built", "stand": "stood", "lie": "lay", "hang": "hung", "wear": "wore", "see": "saw",
    "find": "found", "lose": "lost", "leave": "left", "go": "went", "come": "came", "drive": "drove", "fly": "flew",
    "swim": "swam", "break": "broke", "fall": "fell", "freeze": "froze", "blow": "blew", "grow": "grew", "feed": "fed",
    "spend": "spent", "make": "made", "become": "became", "mean": "meant", "sweep": "swept", "speak": "spoke", "sit": "sat",
    "draw": "drew", "throw": "threw", "catch": "caught", "cost": "cost", "put": "put", "cut": "cut", "set": "set",
    "read": "read", "split": "split",
}  # fmt: skip
SAME = """cost|price|charge|fee;buy|purchase|get;repair|fix|mend;start|begin|commence;end|finish|stop;big|large;small|little
help|support|assist;send|mail|post;phone|telephone|ring|call;email|e-mail|mail address;keep|store|hold;old|former|previous
needed|required|necessary;check|inspect|test|examine;change|replace|swap;allowed|permitted;forbidden|banned|not allowed
open|accessible;house|building;car|vehicle;get|receive|obtain;show|display;children|kids;money|cash;job|task|work
rubbish|waste|garbage;bottle|cylinder;path|trail|way;hike|walk;guests|visitors;employee|staff member|worker;meeting|assembly
boss|head|leader|chief;lent|loaned|borrowed;lend|loan;reserve|book;reservation|booking;cancel|call off;night|overnight stay
ill|sick;injured|hurt;doctor|physician;danger|risk|hazard;quickly|fast|soon;often|frequently;yearly|annual|every year
monthly|every month;weekly|every week;at least|minimum;at most|maximum;limit|maximum;length|how long;weight|how heavy
height|how high|altitude;amount|sum|quantity;place|location|spot;address|where;person|somebody;responsible|in charge
look after|take care of|be responsible for;tell|inform|notify;report|tell;write down|note|record;error|fault|mistake|problem
broken|damaged|faulty|defective;clean|wash;throw away|discard;password|passphrase;computer|machine|pc;net|network
program|software|script;log in|sign in;join|become a member of;leave|quit;member|people in the club;fee|dues|contribution
paid|refunded|reimbursed;expenses|costs;receipt|bill|invoice;employee|worker;teach|train|instruct;course|class|training
valid|good;expire|run out|end;last|take;tour|trip;boat|ship|vessel;stove|oven;water|tap water;drinkable|safe to drink
food|meals;breakfast|morning meal;dinner|evening meal|supper;lunch|midday meal;pupils|school children;dog|animal
fridge|refrigerator;torch|lamp|light;rope|line
rescue|save;alarm|emergency call;helicopter|aircraft;snow|winter;founded|started|set up|established
built|constructed|erected;burned down|destroyed by fire;winner|who won;named|called;team|group|crew;elected|chosen|voted in
vote|election;sign|put a signature on;document|paper|form;letter|post;office|bureau;holiday|vacation;salary|pay|wage;tidy|clean up
backup|copy;restore|recover;delete|remove|erase;stored|kept|saved;stop|halt;room|space;bed|place to sleep;noon|midday
every day|daily;twice|two times;once|one time;half|50 percent;under|below;over|above;near|close to|next to"""


def build_synonyms() -> dict[str, list[str]]:
    """Word → what people say instead."""
    found: dict[str, list[str]] = {}
    for group in SAME.replace("\n", ";").split(";"):
        words = group.split("|")
        for word in words:
            found.setdefault(word, []).extend(other for other in words if other != word)
    return found


def third_person(verb: str) -> str:
    if verb.endswith(("s", "x", "ch", "sh", "o")):
        return verb + "es"
    return verb[:-1] + "ies" if verb.endswith("y") and verb[-2] not in "aeiou" else verb + "s"


def past(verb: str) -> str:
    if verb in IRREGULAR:
        return IRREGULAR[verb]
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ied"
    doubled = len(verb) > 2 and verb[-1] in "bgmnpt" and verb[-2] in "aeiou" and verb[-3] not in "aeiou" and len(verb) < 5
    return verb + verb[-1] + "ed" if doubled else verb + "ed"


SYNONYMS = build_synonyms()
PRESENT = {third_person(verb): verb for verb in VERBS}
PAST = {past(verb): verb for verb in VERBS}
del PAST["read"], PAST["put"], PAST["set"], PAST["cut"], PAST["split"], PAST["cost"], PAST["lay"], PAST["saw"]


def name(rng: random.Random) -> str:
    """A place or family name that stands in no list, so that it can only be copied."""
    parts = [rng.choice(ONSETS) + rng.choice(VOWELS)]
    if rng.random() < 0.5:
        parts.append(rng.choice(CODAS))
    if rng.random() < 0.25:
        parts.append(rng.choice(ONSETS) + rng.choice("aeiou"))
    return ("".join(parts) + rng.choice(ENDINGS)).capitalize()


def person(rng: random.Random) -> str:
    first = rng.choice(FIRST) if rng.random() < 0.8 else name(rng)
    return f"{first} {name(rng)}"


def noun(rng: random.Random, words: list[str]) -> str:
    return rng.choice(words).replace("_", " ")
