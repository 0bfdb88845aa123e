from django.urls import path

from . import desk_views, evidence, views

app_name = "review"
urlpatterns = [
    path("audit/", views.event_list, name="event-list"),
    path("audit/export/", views.export, name="export"),
    path("audit/history/", views.history, name="history"),
    path("audit/figures/", views.figures_part, name="figures"),
    path("audit/evidence/", evidence.evidence_page, name="evidence"),
    path("audit/<int:pk>/", views.event_page, name="event-page"),
    path("audit/desk/", desk_views.desk, name="desk"),
    path("audit/desk/review/", desk_views.desk_review, name="desk-review"),
    path("audit/periods/", desk_views.period_list, name="period-list"),
    path("audit/periods/<int:pk>/", desk_views.period_page, name="period-page"),
    path("audit/periods/<int:pk>/sign/", desk_views.period_sign_view, name="period-sign"),
]
