"""A piece of plain English that other languages are compared with where no English text is given. Written for this purpose."""

ENGLISH = """\
The village lies at the end of a long valley, where the road stops and the river becomes a stream. About four hundred people live
there, most of them in stone houses that their grandparents built. In winter the snow closes the pass for several weeks, and the
shop, the school and the small hospital have to get by with what was brought up in autumn.

Every morning the teacher walks down from the upper houses and opens the school at half past seven. She heats the stove, writes
the date on the board and waits for the children. There are nineteen of them this year, between six and fourteen years old, and
they share two rooms. The older ones help the younger ones to read, and in return they are allowed to use the computer first.

In the afternoon the farmers bring their milk to the dairy. It is weighed, tested and cooled, and the price is written into a
book that anyone may look at. Nobody has ever asked for that rule to be changed, although the price has gone down more often
than up. A cooperative that hides its figures, they say, will not be a cooperative for long.

When somebody is ill, the doctor comes from the town on Tuesdays and Fridays. On other days the nurse decides what can wait and
what cannot. She has a list of telephone numbers beside the door, a bag that is always packed, and a driver who knows each bend
of the road. Twice in ten years they were too late. She remembers both names, and tells them to every new colleague.
"""
