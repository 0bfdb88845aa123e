from django.urls import path

from . import views

app_name = "review"
urlpatterns = [
    path("audit/", views.event_list, name="event-list"),
    path("audit/<int:pk>/", views.event_page, name="event-page"),
]
