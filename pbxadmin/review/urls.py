from django.urls import path

from .views import access, desk, evidence, log, periods, timeline

app_name = "review"
urlpatterns = [
    path("timeline/", timeline.timeline_page, name="timeline"),
    path("audit/", log.event_list, name="event-list"),
    path("audit/export/", log.export, name="export"),
    path("audit/figures/", log.figures_part, name="figures"),
    path("audit/hours/", log.hours_page, name="hours"),
    path("audit/evidence/", evidence.evidence_page, name="evidence"),
    path("audit/<int:pk>/", log.event_page, name="event-page"),
    path("audit/<int:pk>/review/", log.event_review, name="event-review"),
    path("audit/access/", access.access_page, name="access"),
    path("audit/desk/", desk.desk, name="desk"),
    path("audit/desk/review/", desk.desk_review, name="desk-review"),
    path("audit/periods/", periods.period_list, name="period-list"),
    path("audit/periods/<int:pk>/", periods.period_page, name="period-page"),
    path("audit/periods/<int:pk>/sign/", periods.period_sign_view, name="period-sign"),
]
