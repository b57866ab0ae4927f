"""When a schedule's next moment is: cron's wall-clock time on the calendar of a time zone.

As github.com/robfig/cron Schedule.Next, which upstream's CronJobs follow. A moment fits when the
zone's clock shows it: one that the clock skips in spring does not come that day, one that it
shows twice in autumn comes twice. The library cronsim follows Debian's cron instead, so that we
can not use it: it moves skipped times to the end of the gap, shows doubled ones once, joins days
and weekdays by "and" where either begins with a star (``*/2``), takes 7 for Sunday, and knows no
"?" and no "@every".
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

from edgek.api.cron import Schedule

YEARS = 5
"""A schedule with no moment in so many years has none: the 31st of February."""
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def next_time(schedule: Schedule, after: datetime, zone: tzinfo) -> datetime | None:
    """The first moment later than ``after``, in UTC; None where there is none."""
    after = after.astimezone(UTC)
    if schedule.every is not None:
        return after.replace(microsecond=0) + schedule.every
    if not (schedule.minutes and schedule.hours):
        return None
    moment = after.replace(second=0, microsecond=0) + MINUTE
    last_year = moment.astimezone(zone).year + YEARS
    while True:
        local = moment.astimezone(zone)
        if not _fits_day(schedule, local.date()):
            found = _next_day(schedule, local.date(), last_year)
            if found is None:
                return None
            moment = datetime.combine(found, time(), zone).astimezone(UTC)
            continue
        minutes = _minutes_to_go(schedule, local)
        if not minutes:
            return moment
        moment = _forward(moment, minutes, zone)


def latest_time(
    schedule: Schedule, after: datetime, until: datetime, zone: tzinfo
) -> datetime | None:
    """The last moment later than ``after`` that is not later than ``until``.

    Found by halving: a schedule that was missed for years costs no more than one of an hour.
    """
    first = next_time(schedule, after, zone)
    if first is None or first > until:
        return None
    if schedule.every is not None:
        return first + (until - first) // schedule.every * schedule.every
    # In minutes from the first: what comes next after ``low`` is early enough, after ``high`` not.
    low, high, latest = -1, (until - first) // MINUTE + 1, first
    while high - low > 1:
        middle = (low + high) // 2
        found = next_time(schedule, first + middle * MINUTE, zone)
        if found is not None and found <= until:
            low, latest = middle, found
        else:
            high = middle
    return latest


def _fits_day(schedule: Schedule, day: date) -> bool:
    if day.month not in schedule.months:
        return False
    fits = day.day in schedule.days
    fits_weekday = day.isoweekday() % 7 in schedule.weekdays
    if schedule.any_day or schedule.any_weekday:
        return fits and fits_weekday
    return fits or fits_weekday


def _next_day(schedule: Schedule, day: date, last_year: int) -> date | None:
    day += DAY
    while day.year <= last_year:
        if _fits_day(schedule, day):
            return day
        day += DAY
    return None


def _minutes_to_go(schedule: Schedule, local: datetime) -> int:
    """Until the clock may show a time that fits; 0 where it does now."""
    if local.hour not in schedule.hours:
        return 60 - local.minute
    later = [minute for minute in schedule.minutes if minute >= local.minute]
    return min(later, default=60) - local.minute


def _forward(moment: datetime, minutes: int, zone: tzinfo) -> datetime:
    """Not further than the clock goes evenly: where it is put on or back on the way, by one
    minute only."""
    ahead = moment + minutes * MINUTE
    if moment.astimezone(zone).utcoffset() == ahead.astimezone(zone).utcoffset():
        return ahead
    return moment + MINUTE
